#!/usr/bin/env bash
# Trains with several processes on this one host, to try out what will run on many hosts.
#
#   bash launch/processes.sh COUNT --config=qf20 --workdir=runs/qf20 [...]
#
# With GPUs each process uses one. The batch must be divisible by the number of all devices. Ctrl-C
# and SIGTERM save, and the same command resumes. Exit status: 0, or the lowest of the processes'.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
count="$1"
shift

children=()
trap 'kill -TERM "${children[@]}" 2>/dev/null' INT TERM
coordinator="localhost:${PORT:-$((20000 + RANDOM % 20000))}"
for ((index = 0; index < count; index++)); do
  JAX_LOCAL_DEVICE_IDS="$index" python -m casjax.main --coordinator="$coordinator" \
    --processes="$count" --process="$index" "$@" &
  children+=("$!")
done

status=0
for child in "${children[@]}"; do
  wait "$child"
  ended=$?
  while kill -0 "$child" 2>/dev/null; do # it was the trap that ended the wait
    wait "$child"
    ended=$?
  done
  if ((ended && (!status || ended < status))); then status=$ended; fi
done
exit "$status"
