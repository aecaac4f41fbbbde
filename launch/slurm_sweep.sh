#!/usr/bin/env bash
# Trains for the paper's other qualities as a SLURM array, each from the finished network for 20:
#
#   first=$(sbatch --parsable launch/slurm.sh --config=qf20 --workdir=runs/qf20)
#   sbatch --dependency="afterok:$first" launch/slurm_sweep.sh [--config.KEY=VALUE ...]
#   sbatch --array=5,35 launch/slurm_sweep.sh      # other qualities
#
# A grid over other keys, as for launch/sweep.sh, has one task per combination, counted from 0, with
# the last key varying fastest; more tasks are an error:
#
#   START=none sbatch --array=0-3 launch/slurm_sweep.sh quality=5,15 optimizer.name=adam,muon
#   python -m casjax.report runs --group-by quality,optimizer.name    # when all are finished
#
# RUNS is the folder of the workdirs (default runs), CONFIG the config with %s for the quality
# (default paper:qf=%s), and START the quality whose finished network with the same setting each
# starts from (default 20), or none: as for launch/sweep.sh.
#SBATCH --job-name=casjax-sweep
#SBATCH --array=10,40,60,80
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.log
set -euo pipefail
task="${SLURM_ARRAY_TASK_ID:?start this script by sbatch}"
# Not from this file's folder, because SLURM runs a copy of it.
source "$SLURM_SUBMIT_DIR/launch/grid.sh"
RUNS="${RUNS:-runs}" CONFIG="${CONFIG:-paper:qf=%s}" START="${START:-20}"
parse_grid "$@"
quality="$task" setting=""
if [ "${#qualities[@]}" -gt 0 ] || [ "${#keys[@]}" -gt 1 ]; then
  [ "${#qualities[@]}" -gt 0 ] || qualities=(10 40 60 80)
  count=$((${#qualities[@]} * ${#settings[@]}))
  if [ "$task" -ge "$count" ]; then
    echo "task $task: the grid has $count combinations: sbatch --array=0-$((count - 1))" >&2
    exit 2
  fi
  quality="${qualities[task / ${#settings[@]}]}" setting="${settings[task % ${#settings[@]}]}"
fi
main() {
  exec bash "$SLURM_SUBMIT_DIR/launch/slurm.sh" "$@"
}
train_one main "$quality" "$setting" "${overrides[@]}"
