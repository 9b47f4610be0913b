"""Asks the processes that read subnets, side by side; see ``mad_reader`` and ``questions``."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from select import select
from threading import Lock
from typing import Any, TypeVar

from gigawatt.drivers.opensm import mad_reader, questions
from gigawatt.drivers.opensm.questions import Answer, PortTables, Question, Request
from gigawatt.drivers.opensm.subnet import Subnet
from gigawatt.errors import DriverRetryableError

ANSWER_S_MAX, ANSWER_S_MAX_PER_PORT = 60.0, 0.03
"""A scan of 10,000 ports takes some ten seconds, on a busy machine a hundred; then it hangs."""
END_S_MAX = 2.0
"""A process that waits for its next request ends at once."""


_Found = TypeVar("_Found")


class FabricReader:
    """Reads one subnet through a process of its own, started when first asked; thread-safe.

    Attributes:
        lock: held by who asks, until the answer has come.
    """

    def __init__(self, subnet: Subnet) -> None:
        """Read ``subnet``."""
        self._subnet = subnet
        self.lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="gigawatt-reader-")

    def scan(self) -> list[PortTables]:
        """See ``questions.scan``.

        Raises:
            DriverRetryableError: the subnet cannot be read.
        """
        return self.ask(questions.scan())

    def tables(self, guids: Collection[int]) -> list[PortTables]:
        """See ``questions.tables``.

        Raises:
            DriverRetryableError: the subnet cannot be read.
        """
        return self.ask(questions.tables(guids))

    def paths(self, pairs: Sequence[tuple[int, int]]) -> list[bool]:
        """See ``questions.paths``.

        Raises:
            DriverRetryableError: the subnet manager does not answer.
        """
        return self.ask(questions.paths(pairs))

    def ask(self, question: Question[_Found]) -> _Found:
        """What comes of a question.

        Raises:
            DriverRetryableError: the subnet cannot be read.
        """
        return side_by_side([(self, question)])[0]

    def close(self) -> None:
        """End the process."""
        with self.lock:
            self._end()
            self._folder.cleanup()

    def tell(self, request: Request) -> None:
        """Send a request to the process; ``heard`` is its answer. Its ``lock`` must be held.

        Raises:
            DriverRetryableError: the subnet cannot be read.
        """
        with self._reporting():
            process = self._process = self._process or self._start()
            assert process.stdin is not None, "opened with a pipe"
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()

    def heard(self) -> Answer:
        """The answer to what was told. Its ``lock`` must be held.

        Raises:
            DriverRetryableError: the subnet cannot be read.
        """
        with self._reporting():
            answer = dict[str, Any](json.loads(self._line()))
        if "error" in answer:
            raise self._silent(answer["error"])
        return answer

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            self._end()
            raise self._silent(f"its reader ended ({error})") from error

    def _line(self) -> bytes:
        process = self._process
        if process is None:
            raise OSError("dead")
        assert process.stdout is not None, "opened with a pipe"
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


def side_by_side(work: Sequence[tuple[FabricReader, Question[_Found]]]) -> list[_Found]:
    """What comes of one question to each of some readers, in their order.

    All are asked before the first answer is waited for, so that the processes work at the same
    time; one thread waits for all of them.

    Raises:
        DriverRetryableError: a subnet cannot be read; the others have answered all the same.
    """
    found: dict[int, _Found] = {}
    with ExitStack() as stack:
        # Always in the same order, so that two who ask the same readers do not wait for each other.
        for reader, _ in sorted(work, key=lambda each: id(each[0])):
            stack.enter_context(reader.lock)
        asked = {row: next(question) for row, (_, question) in enumerate(work)}
        while asked:
            answers = _round([(work[row][0], request) for row, request in asked.items()])
            under_way, asked = list(asked), {}
            for row, answer in zip(under_way, answers, strict=True):
                try:
                    asked[row] = work[row][1].send(answer)
                except StopIteration as end:
                    found[row] = end.value
    return [found[row] for row in range(len(work))]


def _round(requests: Sequence[tuple[FabricReader, Request]]) -> list[Answer]:
    """Tell all, then hear all: no answer is left in a pipe for the next who asks."""
    answers: list[Answer] = []
    failed: DriverRetryableError | None = None
    told: list[FabricReader] = []
    for reader, request in requests:
        try:
            reader.tell(request)
            told.append(reader)
        except DriverRetryableError as error:
            failed = failed or error
    for reader in told:
        try:
            answers.append(reader.heard())
        except DriverRetryableError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return answers
