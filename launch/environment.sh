# Sourced by the scripts beside it: enters the repository and its virtual environment, .venv.
# The environment is made on first use, and again whenever pyproject.toml has changed.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! cmp -s pyproject.toml .venv/installed.toml; then
  echo "Making the environment in .venv (a few minutes, once) ..."
  "${PYTHON:-python3}" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
  cp pyproject.toml .venv/installed.toml
fi
export PATH="$PWD/.venv/bin:$PATH"

# On CPUs: let glibc keep the memory it frees. Giving it back after every step, and faulting it in
# again, costs a sixth of the training speed.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1 MALLOC_TOP_PAD_=67108864 MALLOC_ARENA_MAX=1
