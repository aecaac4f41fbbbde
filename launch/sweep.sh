#!/usr/bin/env bash
# Trains a network for each quality factor, first the one for 20, then the others from it; with a
# grid, also for each combination of other settings, and ends with a table of all results.
# The same command resumes where an earlier one stopped; finished networks are only scored.
#
#   bash launch/sweep.sh            # the paper's: 10, 20, 40, 60, 80
#   bash launch/sweep.sh quality=5,15 optimizer.name=adam,muon
#   bash launch/sweep.sh [KEY=VALUE,... ...] [--config.KEY=VALUE ...]
#
# KEY=VALUE,... is a grid over config keys; --config.KEY=VALUE applies to every network.
# Environment variables:
#   RUNS       the folder of the workdirs qf10, qf20-optimizer.name=muon, ...; default runs
#   QUALITIES  those to train besides START if no grid has them; default "10 40 60 80"
#   START      the quality that the others start from, with the same setting; default 20.
#              none: each network starts as its config says
#   CONFIG     the config, with %s for the quality; default paper:qf=%s, the paper's
#   PARALLEL   how many of the others to train at once, each on one GPU; default 1, on all devices
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
source launch/grid.sh
export RUNS="${RUNS:-runs}" CONFIG="${CONFIG:-paper:qf=%s}" PARALLEL="${PARALLEL:-1}"
export START="${START:-20}"
parse_grid "$@"
has_grid=$((${#qualities[@]} + ${#keys[@]} > 1))
if [ "${#qualities[@]}" = 0 ]; then
  read -ra qualities <<<"${QUALITIES:-10 40 60 80}"
fi

train() { # "QUALITY SETTING" [OVERRIDE ...]; xargs sets SLOT for parallel ones
  if [ "$PARALLEL" -gt 1 ] && [ -n "${SLOT:-}" ]; then
    export CUDA_VISIBLE_DEVICES="$SLOT"
  fi
  train_one main "${1%% *}" "${1#* }" "${@:2}"
}
main() {
  python -m casjax.main "$@"
}
export -f main train train_one workdir_of

if [ "$START" != none ]; then
  for setting in "${settings[@]}"; do
    train "$START $setting" "${overrides[@]}"
  done
fi
for setting in "${settings[@]}"; do
  for quality in "${qualities[@]}"; do
    if [ "$quality" != "$START" ]; then
      printf '%s %s\n' "$quality" "$setting"
    fi
  done
done | xargs -r -d '\n' -I{} -P "$PARALLEL" --process-slot-var=SLOT \
  bash -c 'train "$@"' train {} "${overrides[@]}"
if [ "$has_grid" = 1 ]; then
  python -m casjax.report "$RUNS" --group-by "$(IFS=, && echo "${keys[*]}")" -o "$RUNS"
fi
