"""Asks the process that reads a subnet; see ``mad_reader``."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from threading import Lock
from typing import Any

from gigawatt.boundary.entries import DEFAULT_P_KEY
from gigawatt.drivers.opensm import mad_reader
from gigawatt.drivers.opensm.port_info import port_reading
from gigawatt.drivers.opensm.subnet import Subnet
from gigawatt.errors import DriverRetryableError
from gigawatt.fleet.discovery.port_health import PortReading

ANSWER_S_MAX, ANSWER_S_MAX_PER_PORT = 60.0, 0.03
"""A scan of 10,000 ports takes some ten seconds, on a busy machine a hundred; then it hangs."""
END_S_MAX = 2.0
"""A process that waits for its next request ends at once."""


@dataclass(frozen=True, slots=True)
class PortTables:
    """A host's port as its subnet sees it: where it is, and the P_Keys (16 bits) it may use.

    Fields: ``host`` is the port's own table, ``leaf`` that of the switch port it is cabled to.
    """

    guid: int
    switch_guid: int
    switch_port: int
    host: frozenset[int]
    leaf: frozenset[int]

    @property
    def is_open(self) -> bool:
        """Whether it is a full member of the default partition and so reaches every port."""
        return DEFAULT_P_KEY | 0x8000 in self.host | self.leaf


class FabricReader:
    """Reads one subnet through a process of its own, started when first asked; thread-safe."""

    def __init__(self, subnet: Subnet) -> None:
        """Read ``subnet``."""
        self._subnet = subnet
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="gigawatt-reader-")

    def scan(self) -> list[PortTables]:
        """Every host port of the subnet, found anew.

        Raises:
            DriverRetryableError: the subnet cannot be read.
        """
        return self._rows({"do": "scan"})

    def tables(self, guids: Collection[int]) -> list[PortTables]:
        """Those of ``guids`` that are where they were; looks for them when one is not.

        Raises:
            DriverRetryableError: the subnet cannot be read.
        """
        rows = self._rows({"do": "tables", "guids": sorted(guids)})
        if len(rows) < len(guids):
            rows = [row for row in self.scan() if row.guid in guids]
        return rows

    def present(self, guids: Collection[int]) -> set[int]:
        """Those of ``guids`` that are on the subnet; looks for them when one is not where it was.

        Raises:
            DriverRetryableError: the subnet cannot be read.
        """
        found = set(self._ask({"do": "present", "guids": sorted(guids)})["guids"])
        if len(found) < len(guids):
            found = {row.guid for row in self.scan()}.intersection(guids)
        return found

    def paths(self, pairs: Sequence[tuple[int, int]]) -> list[bool]:
        """For each pair of port GUIDs whether the subnet manager gives a path.

        Raises:
            DriverRetryableError: the subnet manager does not answer.
        """
        answer = self._ask({"do": "paths", "pairs": pairs})
        return [bool(is_path) for is_path in answer["paths"]]

    def health(self) -> list[PortReading]:
        """Link and counters of every port at either end of a link.

        Raises:
            DriverRetryableError: the subnet cannot be read.
        """
        return [port_reading(*row) for row in self._ask({"do": "health"})["links"]]

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()
            self._folder.cleanup()

    def _rows(self, request: dict[str, object]) -> list[PortTables]:
        answer = self._ask(request)
        return [
            PortTables(guid, switch_guid, switch_port, frozenset(host), frozenset(leaf))
            for guid, switch_guid, switch_port, host, leaf in answer["ports"]
        ]

    def _ask(self, request: dict[str, object]) -> dict[str, list[Any]]:
        with self._lock:
            try:
                answer = json.loads(self._exchange(json.dumps(request).encode() + b"\n"))
            except (OSError, ValueError) as error:
                self._end()
                raise self._silent(f"its reader ended ({error})") from error
        if "error" in answer:
            raise self._silent(answer["error"])
        return dict(answer)

    def _exchange(self, line: bytes) -> bytes:
        process = self._process or self._start()
        self._process = process
        assert process.stdin is not None, "opened with a pipe"
        assert process.stdout is not None, "opened with a pipe"
        process.stdin.write(line)
        process.stdin.flush()
        answer, wait_s_max = b"", ANSWER_S_MAX + ANSWER_S_MAX_PER_PORT * len(self._subnet.guids)
        while not answer.endswith(b"\n"):
            is_readable, _, _ = select([process.stdout], [], [], wait_s_max)
            chunk = os.read(process.stdout.fileno(), 1 << 20) if is_readable else b""
            if not chunk:
                raise OSError(
                    f"no answer within {wait_s_max:.0f} s" if process.poll() is None else "dead"
                )
            answer += chunk
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        subnet = self._subnet
        return subprocess.Popen(  # noqa: S603 - our own file, by this interpreter
            [
                sys.executable,
                "-I",
                str(Path(mad_reader.__file__)),
                subnet.adapter,
                str(subnet.adapter_port),
            ],
            cwd=self._folder.name,
            env={**os.environ, **subnet.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        try:
            # It ends with its input, and so signs off where it has to: a simulator counts clients.
            process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _silent(self, reason: str) -> DriverRetryableError:
        return DriverRetryableError(f"subnet {self._subnet.name} cannot be read: {reason}")
