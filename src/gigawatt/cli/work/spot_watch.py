"""Watching the notices of a cluster: run the tenant's command for each, and say how it ended.

All that has to be remembered is in the service: a notice of which nothing was said is told to the
command, whoever watched before. So a watcher that died is started again, and the command may run
twice for one notice; it never runs for one that was answered. Where the service cannot be reached
the watcher waits; whatever becomes of it, the deadline stays.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import typer

from gigawatt.cli.output import moment, paragraph, remarks, span
from gigawatt.cli.work.connect import PAGE_LIMIT, connected
from gigawatt.cli.work.notice_hook import HookResult, environment_of, run_hook
from gigawatt.errors import (
    DriverRetryableError,
    InputError,
    OutOfReachError,
    RateError,
)
from gigawatt.sdk import Client, calls
from gigawatt.sdk import documents as doc

UNSAVED_STATUS = 1
"""Exit status when the command failed for a notice."""

PAUSE_S_MAX = 30.0
"""Longest pause between two tries to reach the service. Ours: the shortest notice is 120 s."""

_OVER = frozenset({"releasing", "released", "unwinding", "failed"})
_WAKING = frozenset({"committed", "done", "unwound", "stuck"})
_PASSING = (DriverRetryableError, RateError, OutOfReachError)

Run = Callable[[Mapping[str, str], float], HookResult]
"""Runs the command with an environment for so many seconds at most."""


class Watcher:
    """Follows the notices of one cluster.

    Attributes:
        failed_count: notices for which the command did not go well.
        served_count: notices that were served, well or not.
    """

    def __init__(self, client: Client, cluster: doc.Cluster, run: Run) -> None:
        """Nothing is done yet."""
        self.failed_count = self.served_count = 0
        self._client = client
        self._cluster = cluster
        self._run = run
        self._unsaid: dict[str, doc.AnswerNotice] = {}
        self._served: set[str] = set()

    def follow(self, *, is_once: bool, sleep: Callable[[float], None] = time.sleep) -> None:
        """Serve every notice until the cluster is over, or until one was served."""
        after, pause_s = self._newest_event(), 1.0
        while True:
            try:
                # Before the stream is opened, from which on nothing is missed.
                if self._serve(is_once=is_once):
                    return
                for event in self._client.stream_events(cluster_id=self._cluster.id, after=after):
                    after, pause_s = event.sequence, 1.0
                    is_news = event.kind in _WAKING or event.kind.startswith("notice.")
                    if is_news and self._serve(is_once=is_once):
                        return
                sleep(1.0)
            except _PASSING as error:
                paragraph(f"trying again in {pause_s:.0f} s: {error}", remarks)
                sleep(pause_s)
                pause_s = min(PAUSE_S_MAX, 2.0 * pause_s)

    def _newest_event(self) -> int:
        wanted = doc.EventFilter(cluster_id=self._cluster.id, newest_first=True, limit=1)
        found = self._client.list_events(wanted).items
        return found[0].sequence if found else 0

    def _serve(self, *, is_once: bool) -> bool:
        """Serve every notice of which nothing was said; whether there is nothing more to do."""
        self._say_all()
        while (notice := self._next()) is not None:
            self._serve_one(notice)
            if is_once:
                break
        if is_once and self.served_count:
            return not self._unsaid
        return self._client.get_cluster(self._cluster.id).state in _OVER

    def _next(self) -> doc.Notice | None:
        """The open notice with the earliest deadline to which nobody answered."""
        pages = self._client.pages(calls.list_notices, limit=PAGE_LIMIT)
        mine = (
            notice
            for notice in pages
            if notice.cluster_id == self._cluster.id
            and notice.state == "given"
            and notice.answer is None
            and notice.id not in self._served
        )
        return min(mine, key=lambda notice: notice.deadline_at, default=None)

    def _serve_one(self, notice: doc.Notice) -> None:
        began_s = time.monotonic()
        until = moment(notice.deadline_at.timestamp())
        nodes = ", ".join(notice.nodes)
        paragraph(f"{notice.id}: {nodes} are taken at {until}: {notice.reason}", remarks)
        environment = environment_of(notice, self._cluster.name, self._hostnames(notice))
        result = self._run(environment, notice.seconds_left)
        self._served.add(notice.id)
        self.served_count += 1
        self.failed_count += not result.is_saved
        took = span(time.monotonic() - began_s)
        said = "saved" if result.is_saved else f"not saved, {result.reason},"
        remarks.print(f"{notice.id}: {said} after {took}")
        self._unsaid[notice.id] = doc.AnswerNotice(
            answer="saved" if result.is_saved else "failed", detail=result.reason
        )
        self._say_all()

    def _hostnames(self, notice: doc.Notice) -> list[str]:
        found = self._client.get_cluster_topology(self._cluster.id).nodes
        return [node.hostname for node in found if node.node_id in notice.nodes]

    def _say_all(self) -> None:
        """Tell the service what it was not told yet."""
        for notice_id, answer in list(self._unsaid.items()):
            found = self._client.answer_notice(notice_id, answer)
            del self._unsaid[notice_id]
            if found.answer != answer.answer:
                remarks.print(f"{notice_id}: it was {found.state} already")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, so that the command is ended with it.

    Raises:
        typer.Exit: with 128 and the number of the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = signal.SIGINT

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal came
        came = signal.Signals(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(128 + came) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def watch(cluster: str, tenant: str | None, command: str, *, is_once: bool) -> None:
    """Run a command for every notice of a cluster, until the cluster is over.

    Raises:
        GigawattError: the service said no.
        InputError: there is no server.
        typer.Exit: the command failed for a notice, or a signal came.
    """
    with _ended_by_signals(), connected() as connection:
        if not connection.server:
            raise InputError(
                "notices are given by a server, and none is named",
                next_step="Log in with 'gw login URL', or set GIGAWATT_SERVER.",
            )
        found = connection.cluster(cluster, tenant)
        watcher = Watcher(
            connection.client,
            found,
            lambda environment, left_s: run_hook(command, environment, left_s),
        )
        remarks.print(f"watching {found.name} ({found.id})")
        watcher.follow(is_once=is_once)
        if watcher.failed_count:
            raise typer.Exit(UNSAVED_STATUS)
