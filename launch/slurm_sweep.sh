#!/usr/bin/env bash
# The qualities of the paper beside 20 as a SLURM array, each from the finished network for 20:
#
#   first=$(sbatch --parsable launch/slurm.sh --config=qf20 --workdir=runs/qf20)
#   sbatch --dependency="afterok:$first" launch/slurm_sweep.sh [--config.KEY=VALUE ...]
#
# RUNS is the folder of the workdirs (default runs) and CONFIG the config, %s standing for the
# quality (default paper:qf=%s), as for launch/sweep.sh. Other qualities: sbatch --array=5,35.
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
quality="${SLURM_ARRAY_TASK_ID:?start this script by sbatch}" runs="${RUNS:-runs}"
# shellcheck disable=SC2059  # the config is a format on purpose
config="$(printf "${CONFIG:-paper:qf=%s}" "$quality")"
exec bash "$SLURM_SUBMIT_DIR/launch/slurm.sh" --config="$config" --workdir="$runs/qf$quality" \
  --config.quality="$quality" --config.initial_weights="$runs/qf20" "$@"
