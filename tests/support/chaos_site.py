"""Three servers on one store and one set of fake devices, and somebody who kills them.

Every process is a real one, killed with real signals. SQL on connections of its own notes what was
under way at each kill, and triggers in the devices' file log every write of every device.
"""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx

import gigawatt
from gigawatt.app.home import Home
from gigawatt.app.service import Service, make_first_key, open_service
from gigawatt.drivers.fake.file_states import FileStates
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.store.reading import read_rows
from postgres_server import Server

REPLICA_COUNT = 3
READY_S_MAX = 120.0
DEVICE_LOG = """
CREATE TABLE device_log (
    sequence INTEGER PRIMARY KEY, at_s REAL NOT NULL, device TEXT NOT NULL, key TEXT,
    owner TEXT, is_held INTEGER, cluster TEXT, newest INTEGER
);
CREATE TRIGGER log_held AFTER INSERT ON held BEGIN
    INSERT INTO device_log (at_s, device, key, owner, is_held)
    VALUES ((julianday('now') - 2440587.5) * 86400.0, new.device, new.key, new.owner, 1);
END;
CREATE TRIGGER log_gone AFTER DELETE ON held BEGIN
    INSERT INTO device_log (at_s, device, key, owner, is_held)
    VALUES ((julianday('now') - 2440587.5) * 86400.0, old.device, old.key, old.owner, 0);
END;
CREATE TRIGGER log_generation AFTER INSERT ON generation BEGIN
    INSERT INTO device_log (at_s, device, cluster, newest)
    VALUES ((julianday('now') - 2440587.5) * 86400.0, new.device, new.cluster, new.newest);
END;
"""


def now_s() -> float:
    """Unix seconds, to be compared with what servers write."""
    return time.time()  # noqa: TID251 - the harness has no clock to be given


@dataclass
class Blow:
    """One kill or stop: what, whom, when, and the operations that were under way there."""

    kind: str
    at_s: float
    hit: list[str]
    until_s: float = 0.0


@dataclass
class Site:
    """The servers, the store and the devices."""

    home: Home
    postgres: Server | None
    seed: int
    reconcile_s: float
    tcp_ports: list[int]
    keys: list[str] = field(default_factory=list)
    project_id: str = ""
    processes: list[subprocess.Popen[bytes] | None] = field(default_factory=list)
    start_count: int = 0
    slowness: float = 1.0

    @property
    def urls(self) -> list[str]:
        """Addresses of the servers."""
        return [f"http://127.0.0.1:{tcp_port}" for tcp_port in self.tcp_ports]

    def start(self, index: int) -> None:
        """Start a server; it is not ready yet."""
        self.start_count += 1
        source = str(Path(gigawatt.__file__).parents[1])
        environment = {**os.environ, "GIGAWATT_HOME": str(self.home.path), "PYTHONPATH": source}
        environment.pop("GIGAWATT_DATABASE_URL", None)
        if self.home.database_url is not None:
            environment["GIGAWATT_DATABASE_URL"] = self.home.database_url
        script = Path(__file__).with_name("chaos_replica.py")
        numbers = [str(self.tcp_ports[index]), str(self.seed * 1_000 + self.start_count)]
        with (self.home.path / f"replica{index}.log").open("ab") as log:
            self.processes[index] = subprocess.Popen(
                [sys.executable, str(script), *numbers, str(self.reconcile_s), str(self.slowness)],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self, index: int) -> None:
        """Wait until a server says that it is ready."""
        until_s = time.monotonic() + READY_S_MAX
        while time.monotonic() < until_s:
            process = self.processes[index]
            assert process is not None
            assert process.poll() is None, f"replica {index} ended: {process.returncode}"
            try:
                if httpx.get(f"{self.urls[index]}/readyz", timeout=5.0).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"replica {index} is not ready after {READY_S_MAX:g} s")

    def ask(self, query: str) -> list[dict[str, object]]:
        """Rows by a reader of its own."""
        with read_rows(self.home.store_place) as rows:
            return [dict(row) for row in rows.ask(query)]

    def under_way(self, worker: str | None) -> list[str]:
        """Operations that a worker (a part of its name) holds; None: that anybody holds."""
        rows = self.ask(
            "SELECT operation_id, lease_worker FROM operation"
            " WHERE is_open AND lease_worker IS NOT NULL AND state != 'stuck'"
        )
        return [
            str(row["operation_id"])
            for row in rows
            if worker is None or worker in str(row["lease_worker"])
        ]

    def stop_all(self) -> None:
        """Tell all servers to stop, and see that they do."""
        for process in self.processes:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            if process is not None:
                try:
                    process.wait(60.0)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def free_tcp_ports(count: int) -> list[int]:
    """Ports on loopback that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


@contextmanager
def chaos_site(
    folder: Path,
    gpu_count: int,
    seed: int,
    *,
    postgres: Server | None,
    reconcile_s: float,
    slowness: float = 1.0,
) -> Iterator[Site]:
    """A site with its servers ready, stopped at the end; devices are ``slowness`` times slower."""
    url = None if postgres is None else postgres.new()
    home = Home(folder, url)
    home.make()
    home.fleet_path.write_text(dump_fleet(hgx_fleet(gpu_count)), encoding="utf-8")
    FileStates(home.devices_path).close()
    site = Site(home, postgres, seed, reconcile_s, free_tcp_ports(REPLICA_COUNT))
    site.slowness = slowness
    home.devices_path.rename(folder / "made")
    with open_service(home) as service:
        populate(site, service)
    (folder / "made").replace(home.devices_path)
    with closing(sqlite3.connect(home.devices_path)) as raw:
        raw.executescript(DEVICE_LOG)
    site.processes = [None] * REPLICA_COUNT
    try:
        for index in range(REPLICA_COUNT):
            site.start(index)
        for index in range(REPLICA_COUNT):
            site.wait_ready(index)
        yield site
    finally:
        site.stop_all()
        if postgres is not None and url is not None:
            postgres.start()
            postgres.drop(url)


def populate(site: Site, service: Service) -> None:
    """The first operator and its project."""
    site.keys = [make_first_key(service, "chaos")]
    (project,) = service.directory.projects(None, "", 10)
    site.project_id = project.project_id


class Killer(threading.Thread):
    """Kills and stops servers and kills the database, at moments drawn from the seed."""

    def __init__(self, site: Site, pause_s: tuple[float, float], stop_s: tuple[float, float]):
        super().__init__(name="killer")
        self.blows: list[Blow] = []
        self.error: BaseException | None = None
        self._site = site
        self._pause_s = pause_s
        self._stop_s = stop_s
        self._random = Random(site.seed)  # noqa: S311 - repeats on purpose
        self._end = threading.Event()

    def run(self) -> None:
        """Strike until told to end; whatever was struck is up again at the end."""
        kinds = ["kill"] * 5 + ["stop"] * 2 + (["database"] * 2 if self._site.postgres else [])
        try:
            while not self._end.wait(self._random.uniform(*self._pause_s)):
                kind, index = self._random.choice(kinds), self._random.randrange(REPLICA_COUNT)
                {"kill": self._kill, "stop": self._pause, "database": self._kill_database}[kind](
                    index
                )
        except BaseException as error:  # noqa: BLE001 - told to the judge
            self.error = error

    def end(self) -> None:
        """Strike no more."""
        self._end.set()
        self.join()

    def _process(self, index: int) -> subprocess.Popen[bytes]:
        process = self._site.processes[index]
        assert process is not None
        assert process.poll() is None, f"replica {index} ended by itself: {process.returncode}"
        return process

    def _kill(self, index: int) -> None:
        process = self._process(index)
        process.kill()
        at_s = now_s()
        process.wait()
        hit = self._site.under_way(f":{process.pid}:")
        time.sleep(self._random.uniform(0.2, 2.0))
        self._site.start(index)
        self._site.wait_ready(index)
        self.blows.append(Blow("kill", at_s, hit, now_s()))

    def _pause(self, index: int) -> None:
        process = self._process(index)
        process.send_signal(signal.SIGSTOP)
        at_s = now_s()
        hit = self._site.under_way(f":{process.pid}:")
        time.sleep(self._random.uniform(*self._stop_s))
        process.send_signal(signal.SIGCONT)
        self.blows.append(Blow("stop", at_s, hit, now_s()))

    def _kill_database(self, _index: int) -> None:
        postgres = self._site.postgres
        assert postgres is not None
        hit = self._site.under_way(None)
        at_s = now_s()
        postgres.stop(signal.SIGKILL)
        time.sleep(self._random.uniform(0.0, 0.5))
        postgres.start()
        self.blows.append(Blow("database", at_s, hit, now_s()))
