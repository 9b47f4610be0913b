"""An independent audit of a store: what does not add up, in sentences.

It shares nothing with the code that writes the store but the names of tables and the table of
phases: SQL and JSON are read here once more, so a fault there cannot hide itself here.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gigawatt.errors import DataError
from gigawatt.planner.phases import ENDED, Phase, next_phase
from gigawatt.planner.plan import OperationKind
from gigawatt.store.address import Place, name_of
from gigawatt.store.reading import Row, Rows, read_rows

_TABLES = ("cluster", "operation", "allocation", "held_key", "tombstone", "node")
_PATHS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "applying": (("committed",),),
    "unwinding": (("committed", "failed"),),
    "done": (("committed", "done"),),
    "unwound": (("committed", "failed", "unwound"),),
    "stuck": (("committed", "failed", "stuck"), ("committed", "stuck")),
}
"""Events that lead an operation to its state; the first row that the phases allow counts."""


@dataclass(frozen=True, slots=True)
class _Books:
    """Everything read once: rows by table, and what is looked up often."""

    rows: Mapping[str, list[Row]]
    generation: int
    clusters: Mapping[str, Row]
    targets: Mapping[str, dict[str, Any]]
    busy: frozenset[str]
    buried: frozenset[str]

    def name(self, cluster_id: str) -> str:
        """The cluster and its phase, for sentences."""
        row = self.clusters.get(cluster_id)
        return f"cluster {cluster_id}" + ("" if row is None else f" ({row['phase']})")


def audit_database(place: Place) -> tuple[str, ...]:
    """Every inconsistency or leak of the store at a place; empty if all is well.

    Reads one consistent state while others write.

    Raises:
        DataError: it cannot be read as a store.
        InputError: the place is the URL of something else.
    """
    try:
        with read_rows(place) as rows:
            notes = [*rows.damage()]
            books = _read(rows)
        return (*notes, *(note for check in _CHECKS for note in check(books)))
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(f"{name_of(place)} cannot be read as a store: {error!r}") from error


def _read(source: Rows) -> _Books:
    rows = {name: source.ask(f"SELECT * FROM {name}") for name in _TABLES}  # noqa: S608
    counter = {row["name"]: row["value"] for row in source.ask("SELECT name, value FROM counter")}
    with_target = [row for row in rows["cluster"] if row["target"] is not None]
    return _Books(
        rows=rows,
        generation=int(counter.get("generation", -1)),
        clusters={row["cluster_id"]: row for row in rows["cluster"]},
        targets={row["cluster_id"]: json.loads(row["target"]) for row in with_target},
        busy=frozenset(row["cluster_id"] for row in rows["operation"] if row["is_open"]),
        buried=frozenset(row["cluster_id"] for row in rows["tombstone"]),
    )


def _is_ended(row: Row) -> bool:
    return row["phase"] in {phase.value for phase in ENDED}


def _cluster_rows(books: _Books) -> Iterator[str]:
    """A row agrees with itself, and live names are distinct."""
    for cluster_id, row in books.clusters.items():
        if bool(row["is_ended"]) != _is_ended(row):
            yield f"{books.name(cluster_id)} has is_ended = {int(row['is_ended'])}"
        target = books.targets.get(cluster_id)
        if target is None:
            if not _is_ended(row):
                yield f"{books.name(cluster_id)} is live but has no target"
            continue
        if _is_ended(row):
            yield f"{books.name(cluster_id)} has ended but still has a target"
        for field in ("cluster_id", "tenant_id", "name"):
            if target[field] != row[field]:
                yield f"{books.name(cluster_id)}: {field} of its target is {target[field]!r}"
    yield from _names_and_nouns(books)


def _names_and_nouns(books: _Books) -> Iterator[str]:
    """Clusters have members and file systems none; live names of each are distinct."""
    for cluster_id, target in books.targets.items():
        if bool(books.clusters[cluster_id]["is_file_system"]) == bool(target["members"]):
            yield f"{books.name(cluster_id)} has {len(target['members'])} members"
    live = [row for row in books.rows["cluster"] if not _is_ended(row)]
    names = Counter((row["tenant_id"], bool(row["is_file_system"]), row["name"]) for row in live)
    for (tenant_id, is_file_system, name), count in names.items():
        if count > 1:
            what = "file systems" if is_file_system else "clusters"
            yield f"tenant {tenant_id} has {count} live {what} named {name!r}"


def _gpus_of(target: Mapping[str, Any]) -> set[tuple[str, int]]:
    return {
        (member["node_id"], gpu)
        for member in target["members"]
        for gpu in range(int(member["gpu_mask"]).bit_length())
        if int(member["gpu_mask"]) >> gpu & 1
    }


def _allocation_rows(books: _Books) -> Iterator[str]:
    """GPUs held are those of targets."""
    held: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for row in books.rows["allocation"]:
        if row["state"] == "held":
            held[row["cluster_id"]].add((row["node_id"], row["gpu"]))
    for cluster_id, row in books.clusters.items():
        wanted = _gpus_of(books.targets.get(cluster_id, {"members": ()}))
        for node_id in sorted({node_id for node_id, _ in wanted - held[cluster_id]}):
            yield f"{books.name(cluster_id)} does not hold all GPUs of its member {node_id}"
        if _is_ended(row) or cluster_id not in books.busy:
            for node_id in sorted({node_id for node_id, _ in held[cluster_id] - wanted}):
                yield f"{books.name(cluster_id)} holds GPUs of node {node_id} without a reason"


def _mount_rows(books: _Books) -> Iterator[str]:
    """What a cluster mounts is a live file system of its tenant, under that key."""
    for cluster_id, target in books.targets.items():
        for mount in target.get("mounts", ()):
            owner = books.targets.get(mount["file_system_id"])
            where = f"{books.name(cluster_id)} mounts {mount['file_system_id']}"
            if owner is None or not books.clusters[mount["file_system_id"]]["is_file_system"]:
                yield f"{where}, which is no live file system"
            elif owner["tenant_id"] != target["tenant_id"]:
                yield f"{where}, which is of tenant {owner['tenant_id']}"
            elif (owner["pool_id"], owner["keys"]["filesystem"]) != (
                mount["pool_id"],
                mount["filesystem"],
            ):
                yield f"{where}, but not as it is: {owner['keys']['filesystem']}"


def _waiting_rows(books: _Books) -> Iterator[str]:
    """GPUs that wait have a tombstone to wait for, and a node that one names is not let go."""
    named = {(row["cluster_id"], row["node_id"]) for row in books.rows["tombstone"]}
    with_nic = {row["cluster_id"] for row in books.rows["tombstone"] if row["names_nic"]}
    holders = {(row["cluster_id"], row["node_id"]) for row in books.rows["allocation"]}
    for row in books.rows["allocation"]:
        cluster_id, node_id = row["cluster_id"], row["node_id"]
        is_named = (cluster_id, node_id) in named or cluster_id in with_nic
        if row["state"] == "tombstone" and not is_named:
            where = f"GPU {row['gpu']} of node {node_id}"
            yield f"{where} waits, but no tombstone of {books.name(cluster_id)} names it"
    for row in books.rows["tombstone"]:
        cluster_id, node_id = row["cluster_id"], row["node_id"]
        if node_id is not None and (cluster_id, node_id) not in holders:
            where = f"a tombstone on {row['device_id']} names node {node_id}"
            yield f"{where} of {books.name(cluster_id)}, which no longer holds it"


def _keys_of(target: Mapping[str, Any]) -> set[tuple[str, int]]:
    scopes = {
        "p_key": target["fabric_id"],
        "compute_vni": target["fabric_id"],
        "vni": target["site_id"],
        "subnet": target["site_id"],
        "filesystem": target["pool_id"],
    }
    keys = target["keys"]
    return {(f"{n}/{scope}", keys[n]) for n, scope in scopes.items() if keys[n] is not None}


def _key_rows(books: _Books) -> Iterator[str]:
    """Keys held are those of targets, what waits has a tombstone, what cools has an end."""
    held: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for row in books.rows["held_key"]:
        cluster_id, key = row["cluster_id"], (row["pool_id"], row["value"])
        if row["state"] == "held":
            held[cluster_id].add(key)
        if row["state"] == "tombstone" and cluster_id not in books.buried:
            where = f"key {key[0]} {key[1]}"
            yield f"{where} waits for a tombstone of {books.name(cluster_id)}, which has none"
        if (row["state"] == "cooling") != (row["free_at_s"] is not None):
            yield f"key {key[0]} {key[1]} is {row['state']} but free at {row['free_at_s']}"
    for cluster_id, row in books.clusters.items():
        target = books.targets.get(cluster_id)
        wanted = set() if target is None else _keys_of(target)
        for name, value in sorted(wanted - held[cluster_id]):
            yield f"{books.name(cluster_id)} does not hold its key {name} {value}"
        if _is_ended(row) or cluster_id not in books.busy:
            for name, value in sorted(held[cluster_id] - wanted):
                yield f"{books.name(cluster_id)} holds key {name} {value} without a reason"


def _tombstone_rows(books: _Books) -> Iterator[str]:
    """A tombstone of an ended cluster binds a key, else what it names was given away."""
    bound = {row["cluster_id"] for row in books.rows["held_key"] if row["state"] == "tombstone"}
    for cluster_id in sorted(books.buried - bound):
        row = books.clusters.get(cluster_id)
        if row is not None and _is_ended(row):
            yield f"{books.name(cluster_id)} has tombstones, but its keys do not wait for them"
    for row in books.rows["tombstone"]:
        where = f"tombstone of {row['entry_key']} on {row['device_id']}"
        if row["generation"] > books.generation:
            yield f"{where} is of generation {row['generation']}, the store at {books.generation}"


def _operation_rows(books: _Books) -> Iterator[str]:
    """One open operation a cluster; states, times and generations agree."""
    count = Counter(row["cluster_id"] for row in books.rows["operation"] if row["is_open"])
    for cluster_id, operation_count in count.items():
        if operation_count > 1:
            yield f"{books.name(cluster_id)} has {operation_count} open operations"
    for row in books.rows["operation"]:
        name = f"operation {row['operation_id']} ({row['state']})"
        has_ended = row["state"] in {"done", "unwound"}
        if has_ended == bool(row["is_open"]):
            yield f"{name} has is_open = {int(row['is_open'])}"
        if has_ended != (row["finished_s"] is not None):
            yield f"{name} has finished_s = {row['finished_s']}"
        if not row["opened_generation"] <= row["generation"] <= books.generation:
            yield (
                f"{name} was opened at generation {row['opened_generation']} and is at"
                f" {row['generation']}, the store at {books.generation}"
            )


def _after(phase: Phase | None, row: Row) -> Phase | None:
    """Phase of a cluster after one more operation; None if the phases do not allow it."""
    for path in _PATHS[row["state"]]:
        reached: Phase | None = phase
        for index, event in enumerate(path):
            if reached is None and index > 0:
                break
            reached = next_phase(reached, OperationKind(row["kind"]), event)
        if reached is not None:
            return reached
    return None


def _phases(books: _Books) -> Iterator[str]:
    """The phase of a cluster is the one that its operations, in order, lead to."""
    history: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(books.rows["operation"], key=lambda row: int(row["opened_generation"])):
        history[row["cluster_id"]].append(row)
    for cluster_id, cluster in books.clusters.items():
        phase: Phase | None = None
        for row in history[cluster_id]:
            phase = _after(phase, row)
            if phase is None:
                break
        if phase is None or phase.value != cluster["phase"]:
            found = "nowhere" if phase is None else f"to {phase.value}"
            yield f"{books.name(cluster_id)}: its operations lead {found}"


_CHECKS: tuple[Callable[[_Books], Iterator[str]], ...] = (
    _cluster_rows,
    _allocation_rows,
    _waiting_rows,
    _key_rows,
    _mount_rows,
    _tombstone_rows,
    _operation_rows,
    _phases,
)
