"""Tenants in threads: create, grow and release clusters through whichever server answers.

Each request has an idempotency key and is sent again, to any server, until its answer is definite:
it was done, or it was refused for a reason that repeating does not cure.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

from gigawatt.errors import (
    ConflictError,
    DriverRetryableError,
    GigawattError,
    NoCapacityError,
    OutOfReachError,
    RateError,
)
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls import Call
from gigawatt.sdk.client import Client

ANSWER_S_MAX = 300.0
"""Without a definite answer for so long, a request counts as unanswered."""


@dataclass
class Counts:
    """What all clients together did."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    numbers: Counter[str] = field(default_factory=Counter)
    answer_s: list[float] = field(default_factory=list)
    done: list[tuple[Call[doc.Cluster], str, str]] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)

    def add(self, name: str, count: int = 1) -> None:
        """Count something."""
        with self.lock:
            self.numbers[name] += count


class Tenant(threading.Thread):
    """One client: one cluster after the other until told to end, then nothing is left."""

    def __init__(self, number: int, urls: list[str], key: str, project: str, counts: Counts):
        super().__init__(name=f"tenant{number}", daemon=True)
        self._number = number
        self._project = project
        self._counts = counts
        self._clients = [Client(url, key, timeout_s=100.0) for url in urls]
        self._random = Random(f"tenant {number}")  # noqa: S311 - repeats on purpose
        self._sent = 0
        self.node_counts: list[int] = []
        self.end = threading.Event()

    def run(self) -> None:
        """Live."""
        try:
            while not self.end.is_set():
                self._one_cluster()
        except BaseException as error:  # noqa: BLE001 - told to the judge
            with self._counts.lock:
                self._counts.bugs.append(f"{self.name}: {type(error).__name__}: {error}")
        for client in self._clients:
            client.close()

    def _any(self) -> Client:
        return self._random.choice(self._clients)

    def _one_cluster(self) -> None:
        gpu_count = 8 * self._random.choice(self.node_counts)
        wish = doc.ClusterRequest(
            project_id=self._project,
            name=f"c{self._number}-{self._sent}",
            gpu_count=gpu_count,
            storage_bytes=self._random.choice((0, 1 << 40)),
        )
        made = self._request(calls.create_cluster(wish), "create")
        if made is None:
            self.end.wait(1.0)
            return
        state = self._ended(made)
        if state == "done" and self._random.random() < 0.3:
            grown = self._request(calls.grow_cluster(made.id, 8), "grow")
            if grown is not None:
                self._ended(grown)
        self._release(made)

    def _release(self, made: doc.Cluster) -> None:
        """Give the cluster back; while a change is under way that is refused, so ask again."""
        until_s = time.monotonic() + ANSWER_S_MAX
        while time.monotonic() < until_s:
            found = self._read(calls.get_cluster(made.id))
            if found.state in {"released", "failed"}:
                return
            if found.state == "active":
                gone = self._request(calls.release_cluster(made.id), "release")
                if gone is not None:
                    self._ended(gone)
            time.sleep(0.2)
        raise AssertionError(f"cluster {made.id} was not released: {found.state}")

    def _ended(self, cluster: doc.Cluster) -> str:
        """How the operation of an answer ended."""
        assert cluster.operation_id is not None
        until_s = time.monotonic() + ANSWER_S_MAX
        while time.monotonic() < until_s:
            (line,) = [
                one
                for one in self._read(calls.list_operations(cluster_id=cluster.id)).items
                if one.id == cluster.operation_id
            ]
            if line.finished_at is not None:
                self._counts.add(f"operations {line.state}")
                return line.state
            time.sleep(1.0)
        raise AssertionError(f"operation {cluster.operation_id} did not end: {line.state}")

    def _read(self, call: Call):
        until_s = time.monotonic() + ANSWER_S_MAX
        while True:
            try:
                return self._any().send(call)
            except (DriverRetryableError, OutOfReachError, RateError):
                self._counts.add("reads again")
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.2)

    def _request(self, call: Call[doc.Cluster], what: str) -> doc.Cluster | None:
        """The answer of a change; None when it was refused for good."""
        self._sent += 1
        call = replace(call, idempotency_key=f"{self.name}-{self._sent}")
        began_s = time.monotonic()
        self._counts.add(f"requests {what}")
        while time.monotonic() - began_s < ANSWER_S_MAX:
            try:
                answer = self._any().send(call)
            except (DriverRetryableError, OutOfReachError, RateError):
                self._counts.add("sent again")
            except ConflictError as error:
                if "being carried out" not in str(error) and "others committed" not in str(error):
                    self._refused(what, "conflict")
                    return None
                self._counts.add("sent again")
            except NoCapacityError:
                self._refused(what, "no capacity")
                return None
            except GigawattError as error:
                self._refused(what, type(error).__name__)
                with self._counts.lock:
                    self._counts.bugs.append(f"{what}: {type(error).__name__}: {error}")
                return None
            else:
                with self._counts.lock:
                    self._counts.answer_s.append(time.monotonic() - began_s)
                    assert answer.operation_id is not None
                    self._counts.done.append((call, answer.id, answer.operation_id))
                return answer
            time.sleep(self._random.uniform(0.1, 0.5))
        with self._counts.lock:
            self._counts.unanswered.append(f"{what} {call.idempotency_key}")
        return None

    def _refused(self, what: str, why: str) -> None:
        self._counts.add(f"refused {what}: {why}")
