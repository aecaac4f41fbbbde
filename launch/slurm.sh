#!/usr/bin/env bash
# Trains as a SLURM job, with one process per GPU, on one node or many. From the repository:
#
#   sbatch launch/slurm.sh --config=qf20 --workdir=runs/qf20
#   sbatch --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 launch/slurm.sh --config=... --workdir=...
#
# The repository, the workdir and the cut-outs must be visible to all nodes. Nodes without internet
# need the environment (see environment.sh) and CASJAX_DATA beforehand. If the job is preempted,
# runs out of time or loses a process, it queues itself again, at most RESTARTS times (default 100),
# and resumes from its last checkpoint. Its log is casjax-JOB.log.
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

# Since SLURM 22.05 srun does not take this over from sbatch.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-8}"
# Each task sees all GPUs of its node and uses the one with its own number there.
srun --gpu-bind=none --kill-on-bad-exit=0 python -m casjax.main "$@"
status=$?
# 75: saved and stopped, or another process was lost; 134: jax itself ended the others; 137: the
# lost process was killed. srun returns the highest of all tasks.
if [[ "$status" =~ ^(75|134|137)$ ]] && ((${SLURM_RESTART_COUNT:-0} < ${RESTARTS:-100})); then
  echo "casjax: status $status, queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
