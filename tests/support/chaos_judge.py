"""The judges of a chaos run; none shares code with what it judges but the renderer of targets.

While it runs: no GPU and no key in two live targets, by a reader of its own. Afterwards: the books,
the devices, the log of the devices, and every answer once more.
"""

import json
import sqlite3
import statistics
import threading
from collections import Counter, defaultdict
from contextlib import closing

from chaos_clients import Counts
from chaos_site import Blow, Site
from gigawatt.app.audit import Auditor
from gigawatt.boundary.render import render
from gigawatt.drivers.fake.file_states import FileStates
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import DataError
from gigawatt.interfaces.codec import target_from_json
from gigawatt.sdk.client import Client
from gigawatt.store.audit import audit_database
from gigawatt.store.raw import read_facts


class Sampler(threading.Thread):
    """Looks again and again whether live targets share a GPU or a key."""

    def __init__(self, site: Site, pause_s: float) -> None:
        super().__init__(name="sampler", daemon=True)
        self.notes: list[str] = []
        self.sample_count = 0
        self._site = site
        self._pause_s = pause_s
        self._end = threading.Event()

    def run(self) -> None:
        """Look until told to end; while the database is away there is nothing to see."""
        while not self._end.wait(self._pause_s):
            try:
                rows = self._site.ask("SELECT cluster_id, target FROM cluster WHERE NOT is_ended")
            except DataError:
                continue
            self.notes += shared([json.loads(str(r["target"])) for r in rows if r["target"]])
            self.sample_count += 1

    def end(self) -> None:
        """Look no more."""
        self._end.set()
        self.join()


def shared(targets: list[dict]) -> list[str]:
    """GPUs and keys that two targets have."""
    owners: dict[tuple, str] = {}
    notes = []
    for target in targets:
        keys = target["keys"]
        things: list[tuple] = [
            ("p_key", target["fabric_id"], keys["p_key"]),
            ("compute_vni", target["fabric_id"], keys["compute_vni"]),
            ("vni", target["site_id"], keys["vni"]),
            ("subnet", target["site_id"], keys["subnet"]),
            ("filesystem", target["pool_id"], keys["filesystem"]),
        ]
        things = [thing for thing in things if thing[2] is not None]
        for member in target["members"]:
            mask = int(member["gpu_mask"])
            things += [
                ("gpu", member["node_id"], n) for n in range(mask.bit_length()) if mask >> n & 1
            ]
        for thing in things:
            other = owners.setdefault(thing, target["cluster_id"])
            if other != target["cluster_id"]:
                notes.append(f"{thing} is of {other} and of {target['cluster_id']}")
    return notes


def judge_device_log(site: Site) -> tuple[list[str], int]:
    """What the log of all writes to all devices shows that must not be, and its length.

    An entry passes from one owner to another only through absence; a P_Key has one owner at a time;
    the generation that a device has seen of a cluster never falls.
    """
    notes: list[str] = []
    held: dict[tuple[str, str], str] = {}
    p_keys: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    newest: dict[tuple[str, str], int] = {}
    count = 0
    with closing(sqlite3.connect(site.home.devices_path)) as raw:
        query = (
            "SELECT device, key, owner, is_held, cluster, newest FROM device_log ORDER BY sequence"
        )
        for device, key, owner, is_held, cluster, generation in raw.execute(query):
            count += 1
            if cluster is not None:
                if generation < newest.get((device, cluster), 0):
                    notes.append(f"{device}: generation of {cluster} fell to {generation}")
                newest[device, cluster] = generation
                continue
            before = held.pop((device, key), None)
            p_key = key.partition("/")[0] if device.startswith("fabric/") else ""
            if is_held and before not in {None, owner}:
                notes.append(f"{device}: {key} passed from {before} to {owner} without absence")
            if p_key.startswith("0x"):
                owners = p_keys[device, p_key]
                if before is not None:
                    owners[before] -= 1
                if is_held:
                    owners[owner] += 1
                if len(+owners) > 1:
                    notes.append(f"{device}: P_Key {p_key} is held by {sorted(+owners)}")
            if is_held:
                held[device, key] = owner
    return notes, count


def judge_end(site: Site) -> list[str]:
    """What is wrong with books and devices after everything has converged."""
    place = site.home.store_place
    fleet = site.home.fleet()
    states = FileStates(site.home.devices_path)
    try:
        everything = DeviceWorld(fleet, states).everything()
    finally:
        states.close()
    entries = {entry for of_device in everything.values() for entry in of_device}
    notes = [*audit_database(place), *Auditor(fleet, read_facts(place)).leaks(entries)]
    rows = site.ask("SELECT target FROM cluster WHERE NOT is_ended")
    wanted = {e for row in rows for e in render(fleet, target_from_json(str(row["target"])))}
    notes += [f"{e.device} holds {e.key} for nobody" for e in entries - wanted]
    notes += [f"{e.device} does not hold {e.key}" for e in wanted - entries]
    open_rows = site.ask("SELECT operation_id, state FROM operation WHERE is_open")
    notes += [f"{row['operation_id']} is still {row['state']}" for row in open_rows]
    return notes


def judge_answers(site: Site, counts: Counts) -> list[str]:
    """Answers that are another one when the same request is sent again."""
    notes = []
    with Client(site.urls[0], site.keys[0], timeout_s=60.0) as client:
        for call, cluster_id, operation_id in counts.done:
            again = client.send(call)
            if (again.id, again.operation_id) != (cluster_id, operation_id):
                notes.append(f"{call.idempotency_key}: {operation_id}, then {again.operation_id}")
    return notes


def recoveries_s(site: Site, blows: list[Blow]) -> dict[str, list[float]]:
    """Seconds from each blow to the next progress of each operation that it hit, by kind.

    Progress is a line in the journal or in the trail. An operation that another blow hit before
    its next progress counts from the later blow, and the first is counted as "struck again".
    """
    moments: dict[str, list[float]] = defaultdict(list)
    for table in ("step_journal", "event"):
        query = f"SELECT operation_id, at_s FROM {table} WHERE operation_id IS NOT NULL"  # noqa: S608
        for row in site.ask(query):
            moments[str(row["operation_id"])].append(float(str(row["at_s"])))
    found: dict[str, list[float]] = defaultdict(list)
    for blow in blows:
        for operation in blow.hit:
            later = [at_s for at_s in moments[operation] if at_s > blow.at_s]
            if not later:
                found["never"].append(0.0)
                continue
            again = [
                b
                for b in blows
                if b.at_s > blow.at_s and operation in b.hit and b.at_s < min(later)
            ]
            kind = "struck again" if again else blow.kind
            found[kind].append(min(later) - blow.at_s)
            if kind == "database":
                found["database, once it was back"].append(max(0.0, min(later) - blow.until_s))
    return found


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of all lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))] if ordered else 0.0


def summary(values: list[float]) -> dict[str, float]:
    """Count, median, p99 and maximum."""
    return {
        "count": len(values),
        "p50_s": round(statistics.median(values), 2) if values else 0.0,
        "p99_s": round(percentile(values, 0.99), 2),
        "max_s": round(max(values, default=0.0), 2),
    }
