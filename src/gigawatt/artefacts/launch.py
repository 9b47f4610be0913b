"""``torchrun.sh``: starts one PyTorch job on all hosts; run it once on every host.

Source: PyTorch, "torchrun (Elastic Launch)"; the static rendezvous keeps node ranks as given, so
that neighbours in rank are neighbours in the fabric.
"""

from collections.abc import Sequence
from shlex import quote

from gigawatt.artefacts.hosts import MemberHost
from gigawatt.artefacts.nccl import HCA_NAME
from gigawatt.boundary.target import ClusterTarget

RENDEZVOUS_TCP_PORT = 29_500
"""Default of torchrun."""

_HEAD = """\
#!/usr/bin/env bash
# Starts a PyTorch job on cluster {name}: run on every host, e.g.
#   srun --ntasks-per-node=1 ./torchrun.sh train.py --epochs 3
# The rank follows from the host name; set GW_NODE_RANK to override it.
set -euo pipefail
hosts=({hosts})
gpus=({gpus})
here="$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)"
if [[ -r "$here/nccl.env" ]]; then
    set -a
    # shellcheck source=/dev/null
    . "$here/nccl.env"
    set +a
fi
if [[ -n "${{NCCL_TOPO_FILE:-}}" && -r "$here/nccl-topo.xml" ]]; then
    export NCCL_TOPO_FILE="$here/nccl-topo.xml"
fi
rank="${{GW_NODE_RANK:-}}"
if [[ -z "$rank" ]]; then
    self="${{GW_HOSTNAME:-$(hostname -s)}}"
    for i in "${{!hosts[@]}}"; do
        if [[ "${{hosts[$i]}}" == "$self" ]]; then rank="$i"; fi
    done
fi
if [[ ! "$rank" =~ ^[0-9]+$ ]] || (( 10#$rank >= {count} )); then
    echo "torchrun.sh: ${{self:-rank $rank}} is not one of the {count} hosts of {name}" >&2
    exit 2
fi
"""

_P_KEY = """\
# NCCL wants the index of the P_Key (as a full member) in every NIC's table: look it up.
p_key=$(( {p_key} ))
table="${{GW_SYSFS:-/sys}}/class/infiniband"
if [[ -d "$table" ]]; then
    index=""
    for hca in {hcas}; do
        found=""
        for entry in "$table/$hca"/ports/1/pkeys/*; do
            if [[ -r "$entry" ]] && (( $(<"$entry") == (p_key | 0x8000) )); then
                found="${{entry##*/}}"
            fi
        done
        if [[ -z "$found" || ( -n "$index" && "$index" != "$found" ) ]]; then
            echo "torchrun.sh: P_Key {p_key} has index '${{found:-none}}' on $hca," \\
                "wanted '${{index:-any}}'" >&2
            exit 3
        fi
        index="$found"
    done
    export NCCL_IB_PKEY="$index"
fi
"""

_TAIL = """\
exec torchrun --nnodes={count} --nproc-per-node="${{gpus[$rank]}}" --node-rank="$rank" \\
    --rdzv-backend=static --rdzv-endpoint={endpoint} --rdzv-id={job} "$@"
"""


def torchrun_script(target: ClusterTarget, hosts: Sequence[MemberHost]) -> str:
    """The script; it needs bash and finds its rank by host name, its NCCL settings beside it."""
    count, name = len(hosts), target.name
    text = _HEAD.format(
        name=name,
        count=count,
        hosts=" ".join(quote(host.hostname) for host in hosts),
        gpus=" ".join(str(host.shape.gpu_count) for host in hosts),
    )
    nic_count = min(host.shape.nic_count for host in hosts)
    if target.keys.p_key is not None and nic_count:
        hcas = " ".join(HCA_NAME.format(number) for number in range(nic_count))
        text += _P_KEY.format(p_key=f"{target.keys.p_key:#06x}", hcas=hcas)
    endpoint = quote(f"{hosts[0].ipv4}:{RENDEZVOUS_TCP_PORT}")
    return text + _TAIL.format(count=count, endpoint=endpoint, job=quote(target.cluster_id))
