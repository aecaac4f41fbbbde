#!/usr/bin/env bash
# Trains every network that ships with the package and puts it into the package: CAS-CNN for five
# qualities and for colour, and the networks that the paper compares it with. Intended for one GPU,
# shared by three training runs at a time, so that it is not idle while one of them compiles.
# The same command resumes where an earlier one stopped.
#
#   PHOTOS=photographs bash launch/train_shipped.sh [--config.KEY=VALUE ...]
#
# Environment variables:
#   MINUTES      time limit for all training together: the speed of this machine is measured
#                first. Without it, CUTOUTS determines the time
#   CUTOUTS      cost of all training together, counted in cut-outs of CAS-CNN; default 4400000, of
#                which the network for 20 sees as many as in the paper's two phases
#   PHOTOS       a folder of clean RGB photographs: train/, validation/. Luma is trained on train/
#                and BSDS500's 400 images, colour only on train/; without it there is no network
#                for colour
#   START        initial weights of the network for 20; default: none
#   RUNS         the folder of the workdirs; default runs/shipped
#   INTO         a folder for the networks instead of the package's, with a manifest.json
#   CASJAX_DATA  folder with live1/, classic5/ and bsds500/; without it they are downloaded
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
export RUNS="${RUNS:-runs/shipped}"
export XLA_PYTHON_CLIENT_PREALLOCATE=false # three processes share the memory
BATCH=32
sources="'bsds500/train+test'" data="the train and test sets of BSDS500"
if [ -n "${PHOTOS:-}" ]; then
  sources+=",'folder:$PHOTOS/train'" data+=", and the photographs of $(basename "$PHOTOS")"
fi
overrides=(--config.evaluation.datasets="()" --config.data.validation_cutouts=1600
  --config.loop.validate_every=1000 --config.loop.checkpoint_every=1000 "$@")

measured() { # cut-outs that CAS-CNN can see in MINUTES, less some time to compile and save
  local figures="$RUNS/speed.json"
  python -m casjax.benchmark --only train_step --models cascnn --dtypes float32,mixed \
    --batches "$BATCH" --calls 5 \
    --json "$figures" >&2
  python -c "import json, sys
figures = json.load(open(sys.argv[1]))
print(round(0.8 * 60 * float(sys.argv[2]) * max(record['median'] for record in figures)))" \
    "$figures" "$MINUTES"
}
share() { # PERCENT: of the cut-outs
  echo $((cutouts * $1 / 100))
}
# Trains a network on FIRST cut-outs with all outputs, then on LAST with full resolution only, and
# puts it into the package: one at a time, because all write the manifest there.
train() { # NAME CONFIG START FIRST LAST [OVERRIDE ...]
  local phase seen counts=("$4" "$5") epochs=() i=0
  for phase in multiscale finetune; do
    seen="${counts[i++]}"
    # Avoids repeating cut-outs: the file holds up to 240,000.
    epochs+=("--config.$phase.cutouts=240000"
      "--config.$phase.epochs=$(awk "BEGIN { print $seen / 240000 }")"
      "--config.$phase.warmup_steps=$((seen / BATCH / 20))"
      "--config.$phase.learning_rate=1e-3" "--config.$phase.decay=cosine")
  done
  python -m casjax.main --config="$2" --workdir="$RUNS/$1" --config.batch_size="$BATCH" \
    --config.initial_weights="$3" "${epochs[@]}" "${@:6}" "${overrides[@]}"
  flock "$RUNS/shipping" python launch/ship.py "$RUNS/$1" --name "${1/#qf/cascnn-qf}" \
    --data "$data" --images-dir "${CASJAX_DATA:-}" ${INTO:+--into "$INTO"}
}
luma() { # the network for 20 first; 10 and 40 start from its first phase, 60 and 80 from its end
  local of_luma=(--config.data.sources="($sources,)") quality
  train qf20 efficient:qf=20 "${START:-}" "$(share 20)" "$(share 30)" "${of_luma[@]}"
  for quality in 40 10; do
    train "qf$quality" "efficient:qf=$quality" "$RUNS/qf20/multiscale.safetensors" \
      "$(share 3)" "$(share 4)" "${of_luma[@]}"
  done
  for quality in 60 80; do
    train "qf$quality" "efficient:qf=$quality" "$RUNS/qf20" 0 "$(share 4)" "${of_luma[@]}"
  done
}
colour() {
  data="photographs of $(basename "$PHOTOS")" train cascnn-colour colour cascnn-qf20 0 "$(share 25)" \
    --config.data.sources="('folder:$PHOTOS/train',)" \
    --config.data.validation_sources="('folder:$PHOTOS/validation',)"
}
baselines() { # small networks on small cut-outs: each at a tenth of the cost
  local name quality
  for name in l4 l8 arcnn; do
    train "$name-qf20" "$name" "" 0 "$(share 12)" "${of_baselines[@]}"
  done
  for name in l4 arcnn; do
    for quality in 10 40; do
      train "$name-qf$quality" "$name" "$RUNS/$name-qf20" 0 "$(share 3)" "${of_baselines[@]}" \
        --config.quality="$quality"
    done
  done
}
of_baselines=(--config.data.sources="($sources,)" --config.optimizer.name=muon)

mkdir -p "$RUNS"
if [ -n "${MINUTES:-}" ]; then
  # Kept from an earlier call, whose runs resume: a different config would be refused.
  [ -s "$RUNS/cutouts" ] || measured >"$RUNS/cutouts"
  cutouts="$(cat "$RUNS/cutouts")"
else
  cutouts="${CUTOUTS:-4400000}"
fi
lanes=(luma baselines ${PHOTOS:+colour})
running=()
# A lane that gets SIGTERM leaves its training behind, which must therefore get it too, and save.
trap 'for lane in "${running[@]}"; do kill "$lane" $(pgrep -P "$lane"); done 2>/dev/null' EXIT
for lane in "${lanes[@]}"; do
  "$lane" &
  running+=("$!")
done
status=0
for process in "${running[@]}"; do
  wait "$process" || status=$?
done
trap - EXIT
exit "$status"
