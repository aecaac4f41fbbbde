# shellcheck shell=bash
# Sourced by the scripts beside it: enters the repository and its virtual environment, .venv.
# The environment is made on first use, and again whenever pyproject.toml has changed.
#
# CONSTRAINTS=launch/constraints.txt, from the environment, takes the versions that were tested in
# place of the newest; PYTHON is the Python to make it with.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
wanted="$(cat pyproject.toml ${CONSTRAINTS:+"$CONSTRAINTS"})" || exit
if [ "$wanted" != "$(cat .venv/installed 2>/dev/null)" ]; then
  echo "Making the environment in .venv (a few minutes, once) ..."
  "${PYTHON:-python3}" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]" \
    ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} || exit
  echo "$wanted" >.venv/installed
fi
export PATH="$PWD/.venv/bin:$PATH"
# Large arrays in large pages: a training step on CPUs was 1.0 to 1.3 times as fast (glibc only).
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
