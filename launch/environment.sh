# shellcheck shell=bash
# Sourced by the scripts beside it: enters the repository and its virtual environment, .venv.
# The environment is made on first use, and again whenever pyproject.toml has changed.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
if ! cmp -s pyproject.toml .venv/installed.toml; then
  echo "Making the environment in .venv (a few minutes, once) ..."
  "${PYTHON:-python3}" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
  cp pyproject.toml .venv/installed.toml
fi
export PATH="$PWD/.venv/bin:$PATH"
# Large arrays in large pages: a training step on CPUs was 1.0 to 1.3 times as fast (glibc only).
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
