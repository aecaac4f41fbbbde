#!/usr/bin/env bash
# Reproduces the paper's results, from images to a report: Table II, figures 2 to 6, its claims.
# The same command resumes where an earlier one stopped, and scores nothing twice.
#
#   bash launch/reproduce.sh --budget small   # for two CPU cores: scores the networks that ship,
#                                             # and trains briefly what they lack
#   bash launch/reproduce.sh --budget paper   # for GPUs: trains every network at full scale
#
# The environment variable RUNS sets the folder; default runs/reproduce-small or -paper.
# The report is RUNS/report/index.html.
set -euo pipefail
case "$*" in
"--budget small" | "--budget paper") budget="$2" ;;
*)
  echo "usage: bash launch/reproduce.sh --budget small|paper" >&2
  exit 2
  ;;
esac
# Makes the C library keep freed memory, so that no time is lost in requesting it again.
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=0x7fffffffffffffff}"
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
export RUNS="${RUNS:-runs/reproduce-$budget}"

# Short training runs use CAS-CNN in bfloat16 where the processor is faster with it, and the
# ablations see fewer cut-outs.
dtype=float32 ablation=""
if [ "$budget" = small ]; then
  dtype=auto ablation=",cutouts=1400"
fi

train() { # NAME CONFIG [OVERRIDE ...]: skips finished runs
  [ -e "$RUNS/$1/results.json" ] ||
    python -m casjax.main --workdir="$RUNS/$1" --config="$2" "${@:3}"
}
evaluate() { # METHOD NAME [OPTION ...]
  python -m casjax.evaluate "$1" -o "$RUNS/$2" "${@:3}"
}
baseline() { # NETWORK QUALITY START
  train "$1-qf$2" "$1" --config.quality="$2" --config.finetune.epochs=100.0 \
    --config.initial_weights="$3"
  networks+=" $1-qf$2"
}

# In parallel, because each uses one core; before the rest, because XLA's threads wait for one
# another: training beside one of these took up to three times as long. Not with `evaluate`, whose
# subshell would be killed instead of them.
sadct=()
trap 'kill "${sadct[@]}" 2>/dev/null || true' EXIT
for quality in 10 20 40; do
  python -m casjax.evaluate sadct -o "$RUNS/sadct-qf$quality" --qualities "$quality" --pictures &
  sadct+=($!)
done
for process in "${sadct[@]}"; do
  wait "$process"
done
trap - EXIT

evaluate jpeg jpeg --pictures --datasets live1,classic5

if [ "$budget" = small ]; then
  other_qualities=10,40,80 # Figure 4: networks at qualities that they were not trained for
  place="" networks=$(python -c 'from casjax.networks.manifest import manifest
for name, entry in manifest().items():
    lowest, highest = entry["qualities"]
    if lowest == highest:  # others are not in the paper
        print(name)')
  # For Figure 2: the networks ship without their training logs.
  train curves efficient:qf=20,cutouts=800 --config.model.dtype=$dtype \
    --config.loop.validate_every=20 --config.loop.log_every=5
  for quality in 10 40; do
    # Table II also has networks with the multi-scale loss; the manifest tells only of that for 20.
    train "qf$quality-multiscale" "efficient:qf=$quality,cutouts=400" \
      --config.initial_weights=cascnn-qf20 --config.multiscale.epochs=0.0084 \
      --config.multiscale.learning_rate=4e-4 --config.multiscale.warmup_steps=5 \
      --config.finetune.epochs=0.0 --config.model.dtype=$dtype
  done
else
  other_qualities=5,15,25,35,45,55,65,75,85,95
  place="$RUNS/" networks="qf10 qf20 qf40 qf60 qf80"
  bash launch/sweep.sh
  for quality in 10 20 40; do
    # Table II also has them before fine-tuning.
    evaluate "$RUNS/qf$quality/multiscale.safetensors" "qf$quality-multiscale"
  done
  for network in arcnn l4; do
    baseline "$network" 20 ""
    for quality in 10 40; do
      baseline "$network" "$quality" "$RUNS/$network-qf20"
    done
  done
  baseline l8 20 ""
fi

for network in $networks; do
  evaluate "$place$network" "$network-scores" --pictures --datasets live1,classic5
  case "$network" in
  cascnn* | qf*) evaluate "$place$network" "$network-scores" --qualities "$other_qualities" ;;
  esac
done

for codec in webp jpeg2000; do
  train "$codec" "codec:$codec"
done
for change in paper without=multiscale without=skip_connections with=residual with=batch_norm; do
  train "ablation/$change" "ablation:$change$ablation" --config.model.dtype=$dtype
done

python -m casjax.report "$RUNS" -o "$RUNS/report"
