#!/usr/bin/env bash
# From a fresh clone to a trained network and its scores, in minutes and without downloading any
# images: trains on synthetic ones and restores the photographs that come with scikit-image.
#
#   bash launch/quickstart.sh [--config.KEY=VALUE ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec python -m casjax.main --config=quickstart "$@"
