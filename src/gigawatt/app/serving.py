"""A server in a thread of this process, for as long as somebody needs it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gigawatt.app.address import parse_listen
from gigawatt.app.home import Home
from gigawatt.app.server import make_server
from gigawatt.app.service import Service, open_service
from gigawatt.app.wiring import PLAIN_SITE, FakeSite
from gigawatt.errors import InputError

START_S_MAX = 30.0
"""Longest start. Ours."""
GRACE_S = 5.0
"""Seconds that operations under way get when the server ends; others carry them on."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that runs: its address and its service."""

    url: str
    service: Service


@contextmanager
def serving(
    home: Home,
    application: Callable[[Service], Any],
    listen: str = "127.0.0.1:0",
    devices: FakeSite = PLAIN_SITE,
) -> Iterator[Serving]:
    """A server over a home, with its worker; both end with the context.

    ``devices`` says how the devices behave if the home has none of its own.

    Raises:
        InputError: it cannot listen there.
    """
    host, tcp_port = parse_listen(listen)
    with open_service(home, devices) as service:
        server = make_server(application, service, host, tcp_port, log_level="warning")
        thread = threading.Thread(target=_run, args=(server,), name="gigawatt-server", daemon=True)
        thread.start()
        pause = threading.Event()
        for _ in range(int(START_S_MAX / 0.02)):
            if server.started or not thread.is_alive():
                break
            pause.wait(0.02)
        if not server.started:
            raise InputError(
                f"no server can listen on {listen}", next_step="Name another HOST:PORT."
            )
        service.worker.start()
        try:
            port_taken = server.servers[0].sockets[0].getsockname()[1]
            yield Serving(f"http://{host}:{port_taken}", service)
        finally:
            service.is_stopping = True
            server.should_exit = True
            thread.join()
            service.worker.stop(GRACE_S)


def wait_for_ctrl_c() -> None:
    """Nothing, until Ctrl-C raises ``KeyboardInterrupt``.

    A signal that comes just before a thread blocks is noticed when it wakes, so it wakes.
    """
    pause = threading.Event()
    while True:
        pause.wait(0.5)


def _run(server: Any) -> None:  # noqa: ANN401 - uvicorn stays in its own module
    try:
        server.run()
    except SystemExit:
        return  # uvicorn's way to say that it cannot listen; it has logged why
