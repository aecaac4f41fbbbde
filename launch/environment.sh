# shellcheck shell=bash
# Sourced by the scripts beside it: enters the repository and its virtual environment, .venv.
# The environment is created on first use, and again whenever pyproject.toml changes.
#
# On clusters, do that first where there is internet: bash -c 'source launch/environment.sh'
#
# Environment variables:
#   EXTRAS       of pyproject.toml, installed besides dev; default: cuda where there is an NVIDIA
#                GPU, and otherwise those installed before
#   CONSTRAINTS  launch/constraints.txt for the tested versions (Python 3.11) instead of the newest
#   PYTHON       to create the environment with; default: python3

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
if [ -z "${EXTRAS+given}" ]; then
  EXTRAS="$(cat .venv/extras 2>/dev/null || true)"
  if nvidia-smi -L >/dev/null 2>&1; then EXTRAS=cuda; fi
fi
wanted="$(cat pyproject.toml ${CONSTRAINTS:+"$CONSTRAINTS"})${EXTRAS:+ $EXTRAS}" || exit
if [ "$wanted" != "$(cat .venv/installed 2>/dev/null)" ]; then
  mkdir -p .venv
  exec 9>.venv/lock
  flock 9 2>/dev/null || true # of several jobs one creates it, where the system has flock
fi
if [ "$wanted" != "$(cat .venv/installed 2>/dev/null)" ]; then
  echo "Creating the virtual environment in .venv (a few minutes, once) ..."
  if ! "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed: name one with PYTHON=" >&2
    exit 2
  fi
  "${PYTHON:-python3}" -m venv .venv || exit
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --editable ".[dev${EXTRAS:+,$EXTRAS}]" ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} || exit
  echo "$EXTRAS" >.venv/extras
  echo "$wanted" >.venv/installed
fi
exec 9>&- # lets others see what was created
export PATH="$PWD/.venv/bin:$PATH"
# Large pages for large arrays: training steps on CPUs were 1.0 to 1.3 times as fast (glibc only).
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
