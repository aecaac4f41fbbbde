#!/usr/bin/env bash
# Trains a network for each quality factor of the paper: 20 first, then the others from it.
# The same command goes on where an earlier one stopped; finished networks are only scored.
#
#   bash launch/sweep.sh [--config.KEY=VALUE ...]    what is overridden holds for every network
#
# From the environment:
#   RUNS       the folder of the workdirs qf10, qf20, ...; default runs
#   QUALITIES  those to train beside 20; default "10 40 60 80"
#   CONFIG     the config, %s standing for the quality; default paper:qf=%s, the paper's
#   PARALLEL   how many of the others to train at once, each on one GPU; default 1, on all devices
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
export RUNS="${RUNS:-runs}" CONFIG="${CONFIG:-paper:qf=%s}" PARALLEL="${PARALLEL:-1}"

train() { # QUALITY START [OVERRIDE ...]; xargs numbers those that run at once by SLOT
  if [ "$PARALLEL" -gt 1 ] && [ -n "${SLOT:-}" ]; then
    export CUDA_VISIBLE_DEVICES="$SLOT"
  fi
  # shellcheck disable=SC2059  # the config is a format on purpose
  python -m casjax.main --config="$(printf "$CONFIG" "$1")" --workdir="$RUNS/qf$1" \
    --config.quality="$1" --config.initial_weights="$2" "${@:3}"
}
export -f train

train 20 "" "$@"
# shellcheck disable=SC2086  # the qualities are words on purpose
printf '%s\n' ${QUALITIES:-10 40 60 80} |
  xargs -I{} -P "$PARALLEL" --process-slot-var=SLOT bash -c 'train "$@"' train {} "$RUNS/qf20" "$@"
