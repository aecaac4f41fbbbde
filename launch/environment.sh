# shellcheck shell=bash
# Sourced by the scripts beside it: enters the repository and its virtual environment, .venv.
# The environment is created on first use, and again whenever pyproject.toml changes.
#
# Set CONSTRAINTS=launch/constraints.txt to install the tested versions instead of the newest, and
# PYTHON to choose the Python to create it with.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
wanted="$(cat pyproject.toml ${CONSTRAINTS:+"$CONSTRAINTS"})" || exit
if [ "$wanted" != "$(cat .venv/installed 2>/dev/null)" ]; then
  echo "Creating the virtual environment in .venv (a few minutes, once) ..."
  "${PYTHON:-python3}" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]" \
    ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} || exit
  echo "$wanted" >.venv/installed
fi
export PATH="$PWD/.venv/bin:$PATH"
# Large pages for large arrays: training steps on CPUs were 1.0 to 1.3 times as fast (glibc only).
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
