"""Looking at clusters: lists, one cluster, its evidence, its files."""

import errno
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control
from gigawatt.artefacts.render import render_artefacts
from gigawatt.boundary.plane import Plane
from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    bytes_words,
    console,
    count_of,
    iso,
    moment,
    pairs,
    span,
    table,
    write,
)
from gigawatt.cli.work.planview import PLANE_WORDS, key_words, spread_words
from gigawatt.cli.work.watch import headline
from gigawatt.errors import DataError, InputError, StorageFullError
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.money import format_usd
from gigawatt.planner.phases import ENDED
from gigawatt.planner.target import price_of, spread_of

NODES_SHOWN_MAX = 6


def cluster_row(control: Control, record: ClusterRecord) -> dict[str, Any]:
    """What a list says of one cluster, JSON-able."""
    row: dict[str, Any] = {
        "name": record.name,
        "cluster_id": record.cluster_id,
        "tenant_id": record.tenant_id,
        "phase": record.phase.value,
        "reason": record.phase_reason,
        "since": iso(record.phase_since_s),
        "gpus": 0,
        "nodes": 0,
        "spares": 0,
        "leaf_groups": 0,
        "price_micro_usd_per_hour": 0,
    }
    target = record.target
    if target is not None:
        fleet = control.around.fleet
        row["gpus"] = sum(m.gpu_mask.bit_count() for m in target.active_members)
        row["nodes"] = len(target.active_members)
        row["spares"] = len(target.members) - len(target.active_members)
        row["leaf_groups"] = spread_of(fleet, target.members).leaf_group_count
        row["price_micro_usd_per_hour"] = price_of(fleet, target.members)
    return row


def list_clusters(form: Format, *, everything: bool) -> None:
    """List clusters, newest first."""
    with open_control(Home.default()) as control:
        now_s = control.around.clock.now_s()
        records = [
            record
            for record in control.around.store.clusters()
            if everything or record.phase not in ENDED
        ]
        rows = [cluster_row(control, record) for record in records]
    if form is not Format.TABLE:
        write(rows, form)
        return
    if not rows:
        console.print("no clusters; make one: gw cluster create train --gpus 16")
        return
    columns = ("name", "tenant", "phase", "gpus", "nodes", "for", "$/h", "leaf groups", "id")
    cells = [
        (
            row["name"],
            row["tenant_id"],
            row["phase"],
            f"{row['gpus']:,}",
            f"{row['nodes']:,}" + (f"+{row['spares']}" if row["spares"] else ""),
            span(now_s - record.phase_since_s),
            format_usd(row["price_micro_usd_per_hour"]),
            row["leaf_groups"],
            row["cluster_id"],
        )
        for record, row in zip(records, rows, strict=True)
    ]
    table(columns, cells)


def _some_nodes(nodes: list[str]) -> str:
    shown = ", ".join(nodes[:NODES_SHOWN_MAX])
    more = len(nodes) - NODES_SHOWN_MAX
    return shown + (f" and {more:,} more (all: -o json)" if more > 0 else "")


def show_cluster(cluster: str, tenant: str | None, form: Format) -> None:
    """Show one cluster."""
    with open_control(Home.default()) as control:
        record = control.around.store.cluster(control.cluster_id_of(cluster, tenant))
        if form is Format.TABLE:
            pairs(f"{record.name} ({record.cluster_id})", _lines(control, record))
            return
        document = cluster_row(control, record)
        target = record.target
        if target is not None:
            keys = target.keys
            document |= {
                "site_id": target.site_id,
                "fabric_id": target.fabric_id,
                "keys": {
                    "p_key": None if keys.p_key is None else f"{keys.p_key:#06x}",
                    "compute_vni": keys.compute_vni,
                    "vni": keys.vni,
                    "subnet": keys.subnet,
                    "filesystem": keys.filesystem,
                },
                "members": [
                    {"node_id": m.node_id, "gpu_mask": m.gpu_mask} for m in target.active_members
                ],
                "spare_nodes": [m.node_id for m in target.members if m.role == "spare"],
            }
    write(document, form)


def _lines(control: Control, record: ClusterRecord) -> Iterator[tuple[str, str]]:
    now_s = control.around.clock.now_s()
    row = cluster_row(control, record)
    yield "tenant", record.tenant_id
    since = f"{moment(record.phase_since_s)} ({span(now_s - record.phase_since_s)} ago)"
    yield "phase", f"{record.phase.value} since {since}: {record.phase_reason}"
    target = record.target
    if target is not None:
        spread = spread_of(control.around.fleet, target.members)
        yield "GPUs", f"{row['gpus']:,}"
        yield "where", f"{target.site_id}, fabric {target.fabric_id}: {spread_words(spread)}"
        yield "nodes", _some_nodes([m.node_id for m in target.active_members])
        if row["spares"]:
            yield "spares", _some_nodes([m.node_id for m in target.members if m.role == "spare"])
        yield "keys", key_words(target)
        if target.storage_bytes:
            yield "storage", f"{bytes_words(target.storage_bytes)} in {target.pool_id}"
        yield "price", f"{format_usd(row['price_micro_usd_per_hour'])} an hour (list price)"
    operations = control.around.store.operations_of(record.cluster_id)
    if operations and operations[-1].finished_s is None:
        journal = control.around.store.journal(operations[-1].operation_id)
        yield "under way", headline(operations[-1], journal, now_s)


def _proof_words(proof: Mapping[str, Any]) -> str:
    counts = proof["cluster_pairs_decided"]
    if not any(counts.values()):
        return "no other cluster to be fenced from"
    found = "; ".join(proof["wrong"]) or "no way across"
    pairs_decided = count_of(max(counts.values()), "pair")
    return f"{pairs_decided} of clusters on {len(counts)} planes, each decided: {found}"


def _probe_words(probe: Mapping[str, Any]) -> str:
    """What was tried inside the cluster, what towards others, and what went wrong."""
    inside, outside = probe["inside"], probe["outside"]
    if probe["wrong"]:
        tried = f"{inside:,} tries inside, {outside:,} to other clusters"
        return f"{tried}: {'; '.join(probe['wrong'])}"
    parts = [f"all {inside:,} tries inside pass"] if inside else []
    parts += [f"all {outside:,} to other clusters are refused"] if outside else []
    return ", ".join(parts)


def evidence_lines(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """One document of evidence in words."""
    if "removed_entries" in document:
        yield "removed", f"{count_of(document['removed_entries'], 'entry', 'entries')}, seen gone"
        return
    read, proof = document["read_back"], document["proof"]
    entries = count_of(read["entries_compared"], "entry", "entries")
    silent = f"; silent: {', '.join(read['silent'])}" if read["silent"] else ""
    devices = count_of(read["devices"], "device")
    yield "read back", f"{devices}, {entries}, each as planned (digest {read['digest']}){silent}"
    if proof["ran"]:
        yield "proof", _proof_words(proof)
    for plane, probe in document["probes"].items():
        if not probe["inside"] and not probe["outside"]:
            continue
        yield "probes", f"{PLANE_WORDS[Plane(plane)]}: {_probe_words(probe)}"
    for node_id in document.get("left_behind", ()):
        yield "left behind", f"{node_id} could not be cleaned and is quarantined"


def show_evidence(cluster: str, tenant: str | None, form: Format) -> None:
    """Show the evidence that was kept with a cluster."""
    with open_control(Home.default()) as control:
        cluster_id = control.cluster_id_of(cluster, tenant)
        documents = list(control.around.store.evidence(cluster_id))
    if form is not Format.TABLE:
        write(documents, form)
        return
    if not documents:
        console.print("no evidence yet: it is kept when an operation ends")
    for document in documents:
        title = f"{document['kind'].capitalize()} at {moment(document['at_s'])}"
        pairs(f"{title}, generation {document['generation']}", evidence_lines(document))


FILE_WORDS = {
    "ssh_config": "reach every host by name",
    "hosts": "names and addresses",
    "hostfile": "for mpirun, in rank order",
    "nccl.env": "variables for NCCL and UCX",
    "nccl-topo.xml": "where GPUs and NICs sit in a host",
    "slurm.conf": "a Slurm cluster of these hosts",
    "gres.conf": "their GPUs",
    "cgroup.conf": "limits for jobs",
    "fstab": "file systems that every host mounts",
    "topology.conf": "leaf groups and pods for Slurm",
    "topology.yaml": "the same for newer Slurm",
    "topology-block.conf": "NVLink domains for Slurm",
    "torchrun.sh": "start a PyTorch job on all hosts",
    "kubernetes-labels.yaml": "topology labels for nodes",
}


def write_files(cluster: str, tenant: str | None, to: Path | None) -> None:
    """Write the tenant's files into a folder, or say which there are.

    Raises:
        InputError: the cluster has ended, or the folder cannot be written to.
        StorageFullError: the disk is full.
    """
    with open_control(Home.default()) as control:
        record = control.around.store.cluster(control.cluster_id_of(cluster, tenant))
        if record.target is None:
            raise InputError(
                f"cluster {record.name!r} is {record.phase.value}; it has no files",
                next_step="See 'gw cluster list' for the clusters that are live.",
            )
        rendered = render_artefacts(control.around.fleet, record.target)
    if to is None:
        table(
            ("file", "bytes", "what for"),
            [(n, f"{len(t.encode()):,}", FILE_WORDS.get(n, "")) for n, t in rendered.items()],
        )
        console.print(f"Write them: gw cluster files {record.name} --to ./{record.name}")
        return
    save_files(rendered, to)
    console.print(f"{count_of(len(rendered), 'file')} in {to}")
    console.print(f"  next: ssh -F {to / 'ssh_config'} {record.name}-0000")


def save_files(rendered: Mapping[str, str], to: Path) -> None:
    """Write files into a folder.

    Raises:
        InputError: the folder cannot be written to.
        StorageFullError: the disk is full.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
        for file_name, text in rendered.items():
            (to / file_name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise cannot_write(to, error) from error


def _why(error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a part of its path is a file and no folder"
    return error.strerror or str(error)


def cannot_write(path: Path, error: OSError) -> InputError | DataError:
    """The error of ours for a file that could not be written."""
    if error.errno == errno.ENOSPC:
        return StorageFullError(f"{path} cannot be written: the disk is full")
    return InputError(
        f"{path} cannot be written: {_why(error)}",
        next_step="Name a place that you may write to.",
    )
