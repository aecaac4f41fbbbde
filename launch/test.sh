#!/usr/bin/env bash
# Runs all checks from a fresh clone: lint, format, types, and the tests not marked slow, as many
# at once as there are cores.
# Arguments are passed to pytest:
#
#   bash launch/test.sh -m slow
#   bash launch/test.sh tests/test_jpeg.py
#
# They run on CPUs unless JAX_PLATFORMS says otherwise, as JAX_PLATFORMS=cuda does.
# Tests on real photographs need CASJAX_DATA, a folder with live1/, classic5/ and
# bsds500/{train,test,val}/, and CASJAX_ARCNN_WEIGHTS, one with the released AR-CNN weights.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
ruff check .
ruff format --check .
mypy
exec python -m pytest -m "not slow" --numprocesses auto "$@"
