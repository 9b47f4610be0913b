#!/bin/sh
# Saves Slurm's jobs on hosts that are asked back: for gw spot watch CLUSTER --exec save-jobs.sh,
# on a host of the cluster where scontrol works.
#
# The hosts are drained, so that nothing new begins there. Their jobs get a signal, to save and end
# by themselves; those that are still there after a while are put back into the queue, to begin
# again on other hosts from what they saved. Ends with 0 when no job is on the hosts any more.
#
# GW_SLURM_SIGNAL   what jobs are told with, sent to their batch script; USR1 if not set
# GW_SLURM_GRACE_S  seconds that they have after it; half of the notice if not set
#
# Source: scontrol(1), "requeue"; scancel(1), "--batch"; squeue(1), "--nodelist".
set -u

: "${GW_NOTICE_HOSTS:?is set by gw spot watch}"
hosts=$(printf '%s' "$GW_NOTICE_HOSTS" | tr -s ' ' ',')
grace_s=${GW_SLURM_GRACE_S:-$((${GW_NOTICE_SECONDS:-120} / 2))}

jobs_there() {
    listed=$(squeue --noheader --format=%A --nodelist="$hosts") || return 1
    printf '%s' "$listed" | sort -un
}

wait_for_none() {
    left_s=$1
    while found=$(jobs_there) && [ -n "$found" ] && [ "$left_s" -gt 0 ]; do
        sleep 1
        left_s=$((left_s - 1))
    done
    # Whoever cannot ask Slurm does not know that nothing is there.
    found=$(jobs_there) && [ -z "$found" ]
}

scontrol update nodename="$hosts" state=drain reason="asked back: ${GW_NOTICE_ID:-}" || exit 1
jobs=$(jobs_there) || exit 1
for job in $jobs; do
    scancel --signal="${GW_SLURM_SIGNAL:-USR1}" --batch "$job"
done
wait_for_none "$grace_s" && exit 0
for job in $(jobs_there); do
    scontrol requeue "$job"
done
# What is left of the notice ends the rest: gw spot watch ends this script at the deadline.
wait_for_none "${GW_NOTICE_SECONDS:-120}"
