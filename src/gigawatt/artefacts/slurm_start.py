"""``slurm.sh``: one command that starts Slurm on all hosts of a cluster.

It carries the files beside it to every host over SSH, with a MUNGE key that it makes once and
that nobody but the tenant and the hosts ever has, and waits until Slurm itself says that every host
is there. Run again, it starts everything anew with the files as they are then; jobs go on.

Source: munged(8), slurmctld(8), slurmd(8); slurm.conf(5), "SlurmdParameters" for
``config_overrides``; units and folders are those of Debian's packages.
"""

from collections.abc import Sequence
from shlex import quote

from gigawatt.artefacts.hosts import MemberHost
from gigawatt.boundary.target import ClusterTarget

_HEAD = """\
#!/usr/bin/env bash
# Starts Slurm on all hosts of cluster {name}, with the files beside this script:
#   bash slurm.sh [--trial] [OPTION OF SSH ...]       e.g. bash slurm.sh -i ~/.ssh/id_ed25519
# Run it where 'ssh -F ssh_config {head}' gets in. Each host needs MUNGE and Slurm, of one version.
# Run it again when hosts or files have changed: it starts the daemons anew; jobs go on.
# --trial takes hosts for what slurm.conf says, without GPUs and without cgroups: to try things out.
hosts=({hosts})
"""

_BODY = r"""set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
files=(slurm.sh slurm.conf gres.conf cgroup.conf topology.conf hosts munge.key)
at_once_max=64
ready_s_max=60
export PATH="$PATH:/usr/sbin:/sbin"

fail() { echo "slurm.sh: $1" >&2; exit 1; }

# ---- on a host, as root -------------------------------------------------------------------------

look_around() {
    local missing=() program
    [[ "$(hostname -s)" == "$1" ]] || fail "this is $(hostname -s), wanted $1"
    for program in munged slurmd scontrol $(is_head "$1" && echo slurmctld); do
        command -v "$program" > /dev/null || missing+=("$program")
    done
    [[ ${#missing[@]} -eq 0 ]] || fail "no ${missing[*]} here; on Debian and Ubuntu:\
 apt-get install -y munge slurmd slurm-client$(is_head "$1" && echo ' slurmctld')"
    if [[ -z "$trial" ]] && grep -q 'File=/dev/nvidia0' "$here/gres.conf"; then
        [[ -e /dev/nvidia0 ]] || fail "no /dev/nvidia0 here: load the GPU driver, or try --trial"
    fi
}

is_head() { [[ "$1" == "${hosts[0]}" ]]; }

fit_to_trial() {
    sed -i -e 's|^ProctrackType=.*|ProctrackType=proctrack/linuxproc|' \
        -e 's|^TaskPlugin=.*|TaskPlugin=task/none|' "$here/slurm.conf"
    echo 'SlurmdParameters=config_overrides' >> "$here/slurm.conf"
    # Slurm counts GPUs by files that are there; a plain one will do.
    sed -i 's|File=/dev/nvidia|File=/run/gigawatt/gpu|' "$here/gres.conf"
    mkdir -p /run/gigawatt
    sed -nE 's|.*File=([^ ]+).*|\1|p' "$here/gres.conf" | sort -u | xargs touch
    # Named, so that slurmd does not look for a mounted one.
    echo 'CgroupPlugin=cgroup/v1' > "$here/cgroup.conf"
}

lay_down() {
    # A host that finds its own name at 127.0.1.1 would tell others to reach it there.
    {
        echo '# begin gigawatt'
        cat "$here/hosts"
        echo '# end gigawatt'
        sed -e '/^# begin gigawatt$/,/^# end gigawatt$/d' -e '/^127\.0\.1\.1[[:space:]]/d' \
            /etc/hosts
    } > "$here/hosts.new"
    cat "$here/hosts.new" > /etc/hosts
    install -d -o munge -g munge -m 0700 /etc/munge /var/log/munge
    install -d -o munge -g munge -m 0711 /var/lib/munge
    install -o munge -g munge -m 0400 "$here/munge.key" /etc/munge/munge.key
    install -d -m 0755 /etc/slurm /var/spool/slurmd
    install -d -o slurm -g slurm -m 0755 /var/log/slurm /var/spool/slurmctld
    install -m 0644 "$here"/{slurm,gres,cgroup,topology}.conf /etc/slurm/
}

# Ends the program whose number is in a file; nothing to do if it does not run.
stop() {
    local number
    number="$(cat "$2" 2> /dev/null)" || return 0
    [[ -n "$number" && "$(cat "/proc/$number/comm" 2> /dev/null)" == "$1" ]] || return 0
    kill "$number"
    for _ in {1..100}; do
        [[ -d "/proc/$number" ]] || return 0
        sleep 0.1
    done
    fail "$1 (process $number) does not end"
}

# Daemons get no pipe of ours: one that they keep open would keep this command from ending.
run_quietly() {
    if ! "$@" < /dev/null > "$here/said" 2>&1; then
        fail "$* does not start: $(tail -qn 3 "$here/said" "/var/log/slurm/$1.log" 2> /dev/null)"
    fi
}

start() {
    local unit units=(munge slurmd)
    if is_head "$1"; then units=(munge slurmctld slurmd); fi
    if [[ -d /run/systemd/system ]]; then
        systemctl enable --quiet "${units[@]}"
        for unit in "${units[@]}"; do run_quietly systemctl restart "$unit"; done
        return
    fi
    stop slurmd /run/slurmd.pid
    stop slurmctld /run/slurmctld.pid
    stop munged /run/munge/munged.pid
    install -d -o munge -g munge -m 0755 /run/munge
    run_quietly setpriv --reuid munge --regid munge --init-groups munged --force
    if is_head "$1"; then run_quietly slurmctld; fi
    run_quietly slurmd
}

on_host() {
    look_around "$1"
    if [[ -n "$trial" ]]; then fit_to_trial; fi
    lay_down
    start "$1"
}

# Waits, on the first host, until every host has told the controller that it is there.
until_ready() {
    local away=""
    for ((second = 0; second < ready_s_max; second++)); do
        away="$(sinfo --noheader --Node --format '%N %t' 2>&1 |
            grep -vE ' (idle|mix|alloc|comp|drain|drng)$' || true)"
        [[ -n "$away" ]] || { sinfo; return 0; }
        sleep 1
    done
    fail "not ready after $ready_s_max s: $(head -n 5 <<< "$away" | tr '\n' ';')
 See 'sinfo --list-reasons' on ${hosts[0]} and /var/log/slurm on those hosts; a host that was
 drained comes back by 'scontrol update NodeName=... State=RESUME'."
}

# ---- where the tenant is ------------------------------------------------------------------------

reach() {
    local host="$1"
    shift
    ssh -F "$here/ssh_config" -o BatchMode=yes -o ConnectTimeout=10 "${options[@]}" "$host" "$@"
}

carry() {
    tar -C "$here" -cf - "${files[@]}" | reach "$1" "sudo -n bash -ec '
        folder=\$(mktemp -d)
        trap \"rm -rf \$folder\" EXIT
        tar -C \$folder --no-same-owner -xf -
        bash \$folder/slurm.sh --on-host $1 $trial
    '"
}

everywhere() {
    local host number failed=0 numbers=()
    for host in "${hosts[@]}"; do
        { carry "$host" 2>&1 || { echo "failed"; false; }; } | sed "s/^/$host: /" >&2 &
        numbers+=("$!")
        if (( ${#numbers[@]} >= at_once_max )); then
            wait "${numbers[0]}" || failed=$((failed + 1))
            numbers=("${numbers[@]:1}")
        fi
    done
    for number in "${numbers[@]}"; do wait "$number" || failed=$((failed + 1)); done
    (( failed == 0 )) || fail "$failed of ${#hosts[@]} hosts failed; mend them and run this again"
}

make_key() {
    [[ -s "$here/munge.key" ]] && return
    (umask 077 && head -c 1024 /dev/urandom > "$here/munge.key.new")
    mv "$here/munge.key.new" "$here/munge.key"
}

if [[ "${1:-}" == "--on-host" ]]; then
    trial="${3:-}"
    on_host "$2"
    exit
fi
if [[ "${1:-}" == "--until-ready" ]]; then
    until_ready
    exit
fi
trial=""
if [[ "${1:-}" == "--trial" ]]; then
    trial="$1"
    shift
fi
options=("$@")
make_key
everywhere
reach "${hosts[0]}" "bash -s -- --until-ready" < "$here/slurm.sh"
"""


def slurm_script(target: ClusterTarget, hosts: Sequence[MemberHost]) -> str:
    """The script; it needs bash and OpenSSH here, and an account that may ``sudo`` there."""
    names = " ".join(quote(host.hostname) for host in hosts)
    return _HEAD.format(name=target.name, head=hosts[0].hostname, hosts=names) + _BODY
