"""The process of the server: how it listens, stops, and runs its worker beside it."""

import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from typing_extensions import override

from gigawatt.app.address import inherited_socket, parse_listen
from gigawatt.app.heap import keep_heap
from gigawatt.app.home import Home
from gigawatt.app.service import Service, open_service
from gigawatt.app.upkeep import PERIOD_S
from gigawatt.app.watch.logs import set_up_logs
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.app.watch.showing import showing
from gigawatt.errors import InputError

ANSWER_S = 30
"""How long requests under way may take when the server is told to stop; then they are broken off.

Ours: a request that plans and commits 4,000 GPUs on a busy machine takes seconds."""

FIRST_KEY = (
    "nobody has a key yet: 'gw key create NAME', on this computer and with the same GIGAWATT_HOME, "
    "makes the first operator's and shows it once; sign in with it, or 'gw login URL'"
)

_log = logging.getLogger("gigawatt.server")

APPLICATION = "gigawatt.api.application:build_application"
"""What is served; the API is above this room, so it is named and not imported."""


def load_application(place: str) -> Callable[[Service], Any]:
    """The maker of an ASGI application at ``module:function``.

    The API is above this room, so it is named and not imported, as uvicorn does too.
    """
    module, _, name = place.partition(":")
    maker: Callable[[Service], Any] = getattr(import_module(module), name)
    return maker


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a TLS server: its certificate with the chain, and its private key, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server serves.

    Fields:
        listen: ``HOST:PORT``, or ``fd:N`` for a listening socket that was handed in.
        tls: None for plain HTTP.
        has_lambda_parity: whether the Lambda-compatible door limits requests as Lambda does.
        grace_s: seconds to finish what is under way when told to stop.
        reconcile_s: seconds from one pass of the reconciler to the next, never if 0.
        settings: what is watched and where it is shown; of the environment if None.
    """

    listen: str
    tls: Tls | None = None
    has_lambda_parity: bool = False
    grace_s: float = 20.0
    reconcile_s: float = PERIOD_S
    settings: WatchSettings | None = None


def serve(
    home: Home,
    application: str,
    options: ServerOptions,
    prepare: Callable[[Service], object] = lambda _: None,
) -> None:
    """Serve until a signal comes; then stop taking work, finish or let go, and return.

    ``prepare`` is called once with the service, before anybody is served.

    Raises:
        InputError: ``listen``, a setting, the certificate or its key cannot be used.
    """
    handed_in = inherited_socket(options.listen)
    host, tcp_port = ("", 0) if handed_in else parse_listen(options.listen)
    watch = WatchSettings.of_environment() if options.settings is None else options.settings
    set_up_logs(watch.log_format)
    with (
        open_service(home, reconcile_s=options.reconcile_s, settings=watch) as service,
        showing(service.watching, service.control),
    ):
        if options.has_lambda_parity:
            service.lambda_settings = service.lambda_settings.with_parity()
        maker = load_application(application)
        server = make_server(maker, service, host, tcp_port, tls=options.tls)
        prepare(service)
        keep_heap()
        run_server(server, service, options.grace_s, handed_in)


class Server(uvicorn.Server):
    """A server that tells the service at once when it is told to stop, so that streams end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        """Serve ``config``, and speak to ``service``."""
        super().__init__(config)
        self._service = service

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _log.info("the pages for browsers are at the same address as the API")
            if self._service.directory.is_empty():
                _log.info(FIRST_KEY)

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.is_stopping = True
        self._service.worker.retire()
        super().handle_exit(sig, frame)


def make_server(
    application: Callable[[Service], Any],
    service: Service,
    host: str,
    tcp_port: int,
    *,
    tls: Tls | None = None,
    log_level: str = "info",
) -> Server:
    """A server of a service's application; a TCP port of 0 takes any that is free.

    Raises:
        InputError: the certificate or its key cannot be used.
    """
    config = uvicorn.Config(
        application(service),
        host=host,
        port=tcp_port,
        lifespan="off",
        server_header=False,
        # Paths are in the audit; an access log would keep what callers put into queries.
        access_log=False,
        timeout_graceful_shutdown=ANSWER_S,
        # Lines go where all others do, so that none leaves without redaction.
        log_config=None,
        log_level=log_level,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        assert tls is not None, "only certificates are read"
        raise InputError(
            f"the certificate {tls.certificate} or its key {tls.key} cannot be used: {error}",
            next_step="Name two PEM files that belong together and that you may read.",
        ) from error
    return Server(config, service)


def run_server(
    server: uvicorn.Server,
    service: Service,
    grace_s: float,
    handed_in: socket.socket | None = None,
) -> None:
    """Run a server with its worker beside it, and stop both in order.

    It listens on the socket that was handed in, else where it was made to.

    uvicorn repeats a signal for the handler that was there before it; the default one would end
    the process before the worker has let go. One that comes before uvicorn listens to signals
    counts too.
    """

    def note(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    service.worker.start()
    service.upkeep.start()
    try:
        server.run(sockets=None if handed_in is None else [handed_in])
    finally:
        service.is_stopping = True
        service.upkeep.stop()
        service.worker.stop(grace_s)
