"""A private PostgreSQL server for tests: in a temporary folder, on a unix socket, gone at the end.

Its files are on tmpfs where there is one and are not synced: what tests kill is processes, and
the kernel keeps what a dead process wrote. PostgreSQL refuses to run as root, so root runs it as
the first of ``USERS`` that exists.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

USERS = ("postgres", "nobody")
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_min_messages": "fatal",
}
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of unpredictable name is made inside
MEMORY = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
TEMPLATE = "empty"
START_S_MAX = 60.0


def binaries() -> Path | None:
    """The folder of the newest server that is installed."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(found, key=lambda path: int(path.parts[-3]), default=None)
    if newest is not None:
        return newest.parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent


def owner() -> str | None:
    """Who runs the server: this user, or for root a user that PostgreSQL accepts."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in USERS if name in names)


class Server:
    """A server and its databases.

    Attributes:
        folder: where its data and socket are.
    """

    def __init__(self, folder: Path, programs: Path, settings: Mapping[str, str]) -> None:
        """Make a cluster of databases in ``folder`` and start it."""
        self.folder = folder
        self._settings = settings
        self._programs = programs
        self._user = owner()
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            shutil.chown(folder, self._user)
        folder.chmod(0o700)
        self._run(
            "initdb", "--pgdata", str(self.data), "--username=gigawatt", "--auth=trust",
            "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        self.start()
        self.execute("postgres", f"CREATE DATABASE {TEMPLATE}")

    @property
    def data(self) -> Path:
        """The folder of the databases."""
        return self.folder / "data"

    def _as_user(self) -> dict[str, object]:
        return {} if self._user is None else {"user": self._user, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            capture_output=True, text=True, check=False, cwd=self.folder, **self._as_user(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it and wait until it answers; after a crash its children must be gone first."""
        end_s = time.monotonic() + START_S_MAX
        while not self._answers():
            assert time.monotonic() < end_s, (self.folder / "log").read_text()
            if self._process is None or self._process.poll() is not None:
                self._launch()
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> None:
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, "-k", self.folder, *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                **self._as_user(),
            )  # fmt: skip

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        """Stop it: SIGINT ends it in good order, SIGKILL is the crash of the postmaster."""
        assert self._process is not None
        self._process.send_signal(signal_number)
        self._process.wait()
        self._process = None

    def url(self, database: str) -> str:
        """URL of a database."""
        return f"postgresql://gigawatt@/{database}?host={self.folder}"

    def execute(self, database: str, text: str) -> None:
        """Run SQL in a database, each statement by itself, as superuser."""
        with closing(psycopg.connect(self.url(database), autocommit=True)) as raw:
            raw.execute(text.encode())

    def new(self, template: str = TEMPLATE) -> str:
        """URL of a new database: a clone of ``template``, the name of one nobody uses."""
        name = f"db{next(self._numbers)}"
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        query = query.format(sql.Identifier(name), sql.Identifier(template))
        with closing(psycopg.connect(self.url("postgres"), autocommit=True)) as raw:
            raw.execute(query)
        return self.url(name)

    def clone(self, url: str) -> str:
        """URL of a copy of the database at ``url``."""
        return self.new(name_in(url))

    def drop(self, url: str) -> None:
        """Remove a database and throw out who uses it."""
        query = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        with closing(psycopg.connect(self.url("postgres"), autocommit=True)) as raw:
            raw.execute(query.format(sql.Identifier(name_in(url))))

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """URL of a new database that is removed in the end."""
        url = self.new(template)
        try:
            yield url
        finally:
            self.drop(url)


def name_in(url: str) -> str:
    """Name of the database in a URL of ``Server.url``."""
    return url.partition("@/")[2].partition("?")[0]


@contextmanager
def private_server(
    settings: Mapping[str, str] = SETTINGS, where: Path | None = MEMORY
) -> Iterator[Server]:
    """A server of one's own; the test is skipped where PostgreSQL is not installed."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install -y postgresql")
    folder = Path(tempfile.mkdtemp(prefix="gw-pg-", dir=where))
    server = None
    try:
        server = Server(folder, programs, settings)
        yield server
    finally:
        if server is not None and server._process is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for all tests of a process; every test takes a database of its own."""
    with private_server() as server:
        yield server
