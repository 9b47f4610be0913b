"""Looking at clusters: lists, one cluster, its evidence, its files."""

import errno
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gigawatt.app.clock import SystemClock
from gigawatt.cli.options import Format
from gigawatt.cli.output import (
    Listing,
    bytes_words,
    console,
    count_of,
    moment,
    pairs,
    show_document,
    show_list,
    span,
    table,
    write,
)
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.cli.work.planview import PLANE_WORDS, key_words, spread_words
from gigawatt.cli.work.watch import headline
from gigawatt.errors import DataError, InputError, StorageFullError
from gigawatt.money import format_usd
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc

NODES_SHOWN_MAX = 6


def _cells(connection: Connection, cluster: doc.Cluster, now_s: float) -> tuple[object, ...]:
    config, status = cluster.config, cluster.status
    spares = f"+{config.spare_node_count}" if config and config.spare_node_count else ""
    return (
        cluster.name,
        connection.project_name(cluster.project_id),
        cluster.state,
        f"{config.gpu_count if config else 0:,}",
        f"{status.node_count if status else 0:,}{spares}",
        span(now_s - cluster.state_since.timestamp()),
        format_usd(status.price_micro_usd_per_hour if status else 0),
        status.spread.leaf_group_count if status else 0,
        cluster.id,
    )


def list_clusters(form: Format, *, everything: bool, quiet: bool) -> None:
    """List clusters, newest first."""
    with connected() as connection:
        pages = connection.client.pages(
            calls.list_clusters, with_ended=everything, limit=PAGE_LIMIT
        )
        found, now_s = list(pages), SystemClock().now_s()
        listing: Listing[doc.Cluster] = Listing(
            ("name", "tenant", "phase", "gpus", "nodes", "for", "$/h", "leaf groups", "id"),
            lambda cluster: _cells(connection, cluster, now_s),
            "no clusters; make one: gw cluster create train --gpus 16",
        )
        show_list(found, form, listing, quiet=quiet)


def _some_nodes(nodes: list[str]) -> str:
    shown = ", ".join(nodes[:NODES_SHOWN_MAX])
    more = len(nodes) - NODES_SHOWN_MAX
    return shown + (f" and {more:,} more (all: -o json)" if more > 0 else "")


def show_cluster(cluster: str, project: str | None, form: Format) -> None:
    """Show one cluster."""
    with connected() as connection:
        found = connection.cluster(cluster, project)
        if form is not Format.TABLE:
            show_document(found, form)
            return
        pairs(f"{found.name} ({found.id})", _lines(connection, found))


def _lines(connection: Connection, cluster: doc.Cluster) -> Iterator[tuple[str, str]]:
    since_s = cluster.state_since.timestamp()
    yield "tenant", connection.project_name(cluster.project_id)
    since = f"{moment(since_s)} ({span(SystemClock().now_s() - since_s)} ago)"
    yield "phase", f"{cluster.state} since {since}: {cluster.state_reason}"
    config, status = cluster.config, cluster.status
    if config is not None and status is not None:
        yield "GPUs", f"{config.gpu_count:,}"
        yield "where", f"{status.site_id}, fabric {status.fabric_id}: {spread_words(status.spread)}"
        yield "nodes", _some_nodes(status.members or [])
        if status.spares:
            yield "spares", _some_nodes(status.spares)
        yield "keys", key_words(status.keys, status.storage_pool_id)
        if config.storage_bytes:
            yield "storage", f"{bytes_words(config.storage_bytes)} in {status.storage_pool_id}"
        yield "price", f"{format_usd(status.price_micro_usd_per_hour)} an hour"
    if cluster.cost_micro_usd is not None:
        now = format_usd(cluster.cost_micro_usd_per_hour or 0)
        yield "cost", f"{format_usd(cluster.cost_micro_usd)} so far, now {now} an hour"
    for notice in cluster.notices:
        nodes = count_of(len(notice.nodes), "node")
        until = moment(notice.deadline_at.timestamp())
        yield "given back", f"{nodes} at {until}, in {span(notice.seconds_left)}: {notice.reason}"
    if cluster.operation_id is not None:
        yield "under way", headline(connection.client.get_operation(cluster.operation_id))


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
        yield "probes", f"{PLANE_WORDS[plane]}: {_probe_words(probe)}"
    for node_id in document.get("left_behind", ()):
        yield "left behind", f"{node_id} could not be cleaned and is quarantined"


def show_evidence(cluster: str, project: str | None, form: Format) -> None:
    """Show the evidence that was kept with a cluster."""
    with connected() as connection:
        found = connection.cluster(cluster, project)
        make = partial(calls.list_evidence, found.id)
        kept = list(connection.client.pages(make, limit=PAGE_LIMIT))
    if form is not Format.TABLE:
        write([evidence.model_dump(mode="json") for evidence in kept], form)
        return
    if not kept:
        console.print("no evidence yet: it is kept when an operation ends")
    for evidence in kept:
        title = f"{evidence.kind.capitalize()} at {moment(evidence.at.timestamp())}"
        generation = evidence.document["generation"]
        pairs(f"{title}, generation {generation}", evidence_lines(evidence.document))


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
    "slurm.sh": "start Slurm on all hosts",
    "torchrun.sh": "start a PyTorch job on all hosts",
    "kubernetes-labels.yaml": "topology labels for nodes",
}


def files_of(connection: Connection, cluster_id: str) -> dict[str, str]:
    """The files of a cluster by name."""
    names = [file.name for file in connection.client.list_files(cluster_id).items]
    return {name: connection.client.get_file(cluster_id, name) for name in names}


def write_files(cluster: str, project: str | None, to: Path | None) -> None:
    """Write the tenant's files into a folder, or say which there are.

    Raises:
        InputError: the cluster has ended, or the folder cannot be written to.
        StorageFullError: the disk is full.
    """
    with connected() as connection:
        record = connection.cluster(cluster, project)
        if record.status is None:
            raise InputError(
                f"cluster {record.name!r} is {record.state}; it has no files",
                next_step="See 'gw cluster list' for the clusters that are live.",
            )
        rendered = files_of(connection, record.id)
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
