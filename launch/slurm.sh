#!/usr/bin/env bash
# A training as a SLURM job, one process a GPU, on one node or many. From the repository:
#
#   sbatch launch/slurm.sh --config=qf20 --workdir=runs/qf20
#   sbatch --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 launch/slurm.sh --config=... --workdir=...
#
# The repository, the workdir and the cut-outs must lie where all nodes see them. Preempted, out of
# time or bereft of a process, the job queues itself again, RESTARTS times at most (default 100),
# and goes on from what it saved. Its log is casjax-JOB.log.
#SBATCH --job-name=casjax
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -uo pipefail
cd "${SLURM_SUBMIT_DIR:?start this script by sbatch}" || exit 2 # SLURM runs a copy from elsewhere
source launch/environment.sh

# Each task sees all GPUs of its node and takes the one of its own number there.
srun --gpu-bind=none --kill-on-bad-exit=0 python -m casjax.main "$@"
status=$?
# 75: saved and stopped, or another process is lost; 134, 137: so jax itself ends the others, and
# how the lost one ended. srun gives the highest of all tasks.
if [[ "$status" =~ ^(75|134|137)$ ]] && ((${SLURM_RESTART_COUNT:-0} < ${RESTARTS:-100})); then
  echo "casjax: status $status, queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
