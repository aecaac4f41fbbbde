#!/usr/bin/env bash
# Trains every CAS-CNN that ships with the package, from nothing, and puts it into the package.
# Meant for one GPU. The same command goes on where an earlier one stopped.
#
#   bash launch/train_shipped.sh [--config.KEY=VALUE ...]
#
# CASJAX_DATA, where it is set, holds live1/, classic5/ and bsds500/. PHOTOS, a folder of clean
# photographs, adds to BSDS500's 400. CUTOUTS is how many each network sees, RUNS where they train.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
export RUNS="${RUNS:-runs/shipped}" QUALITIES="${QUALITIES:-10 40 60 80}"
cutouts="${CUTOUTS:-2200000}" # what the paper's two phases come to
sources="'bsds500/train+test'" data="BSDS500 train and test"
if [ -n "${PHOTOS:-}" ]; then
  sources+=",'folder:$PHOTOS'" data+=" and photographs of $(basename "$PHOTOS")"
fi

overrides=(--config.data.sources="($sources,)" "$@")
config="efficient:qf=%s,cutouts=$cutouts,batch=64"
CONFIG="$config" bash launch/sweep.sh "${overrides[@]}"
# The blind network, for the qualities in between.
python -m casjax.main --config="${config/\%s/5-95}" --workdir="$RUNS/qf5-95" \
  --config.initial_weights="$RUNS/qf20" "${overrides[@]}"
for quality in 20 $QUALITIES 5-95; do
  python launch/ship.py "$RUNS/qf$quality" --name "cascnn-qf$quality" --data "$data" \
    --images-dir "${CASJAX_DATA:-}"
done
