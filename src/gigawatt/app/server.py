"""Wiring of the server: control plane, directory, worker, limits, and the process around them."""

import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from types import FrameType
from typing import Any

import uvicorn
from typing_extensions import override

from gigawatt.app.control import Control
from gigawatt.app.economics_desk import EconomicsDesk
from gigawatt.app.firewall import FirewallFollower
from gigawatt.app.home import Home
from gigawatt.app.passes import Passes
from gigawatt.app.proving import FleetProof
from gigawatt.app.rate import RateLimiter
from gigawatt.app.wiring import open_control
from gigawatt.app.worker_loop import Worker, WorkerLoop
from gigawatt.errors import ConflictError, InputError
from gigawatt.executor.reconcile import Reconciliation
from gigawatt.identity.accounts import (
    Account,
    AccountId,
    AccountRole,
    ApiKeyId,
    Organisation,
    OrganisationId,
    Project,
)
from gigawatt.identity.keys import (
    SECRET_BYTE_COUNT,
    ApiKey,
    check_key,
    digest_of,
    key_text,
    parse_key,
    secret_text,
)
from gigawatt.identity.permissions import Caller
from gigawatt.ids import TenantId
from gigawatt.interfaces.directory import Directory
from gigawatt.interfaces.file_systems import FileSystems
from gigawatt.interfaces.firewall import FirewallRulesets
from gigawatt.interfaces.storage_quota import StorageQuotas
from gigawatt.interfaces.trail import Trail
from gigawatt.store.directory import open_directory
from gigawatt.store.file_systems import SqlFileSystems
from gigawatt.store.firewall import SqlFirewallRulesets
from gigawatt.store.storage_quota import SqlStorageQuotas
from gigawatt.store.store import SqlStore
from gigawatt.store.trail import open_trail
from gigawatt.units import MINUTE_S

TOUCH_S = float(MINUTE_S)
"""Least time between two notes that a key was used: a write for each request would cost more."""

SITE_ORGANISATION = "site"
"""Name of the organisation of those who run the site."""


@dataclass(slots=True)
class Service:
    """Everything that a request needs."""

    control: Control
    directory: Directory
    worker: Worker
    rate: RateLimiter
    trail: Trail
    file_systems: FileSystems
    rulesets: FirewallRulesets
    follower: FirewallFollower
    storage_quotas: StorageQuotas
    is_stopping: bool = False
    stream_count: int = 0
    desk: EconomicsDesk = field(default_factory=EconomicsDesk)
    proofs: Passes[FleetProof] = field(default_factory=lambda: Passes("prf"))
    reconciliations: Passes[Reconciliation] = field(default_factory=lambda: Passes("rec"))

    def now_s(self) -> float:
        """Unix seconds."""
        return self.control.around.clock.now_s()

    def authenticate(self, key: str) -> Caller:
        """Who holds a key that is in force.

        Raises:
            UnauthenticatedError: nobody does.
        """
        key_id, secret = parse_key(key)
        found = self.directory.find_caller(key_id)
        now_s = self.now_s()
        kept = check_key(None if found is None else found[0], secret, now_s)
        assert found is not None, "a key that is in force was found"
        if kept.last_used_s is None or now_s - kept.last_used_s > TOUCH_S:
            self.directory.touch_key(kept.key_id, now_s)
        return Caller(found[1], kept)

    def new_key(
        self,
        account_id: AccountId,
        name: str,
        *,
        project_id: TenantId | None = None,
        expires_s: float | None = None,
    ) -> tuple[ApiKey, str]:
        """Make and keep a key; what is kept, and the text that is shown once."""
        secret = secret_text(secrets.token_bytes(SECRET_BYTE_COUNT))
        key = ApiKey(
            key_id=ApiKeyId(f"key_{secrets.token_hex(8)}"),
            account_id=account_id,
            project_id=project_id,
            name=name,
            digest=digest_of(secret),
            created_s=self.now_s(),
            expires_s=expires_s,
            last_used_s=None,
            revoked_s=None,
        )
        self.directory.add_key(key)
        return key, key_text(key.key_id, secret)


@contextmanager
def open_service(home: Home) -> Iterator[Service]:
    """The service of a home; its worker is not started."""
    with open_control(home) as control:
        store = control.around.store
        assert isinstance(store, SqlStore), "a home has a SQL store"
        directory = open_directory(store)
        rulesets = SqlFirewallRulesets(store.database)
        follower = FirewallFollower(control, rulesets)
        yield Service(
            control=control,
            directory=directory,
            worker=WorkerLoop(control, directory, [follower.follow_due]),
            rate=RateLimiter(),
            trail=open_trail(store),
            file_systems=SqlFileSystems(store.database),
            rulesets=rulesets,
            follower=follower,
            storage_quotas=SqlStorageQuotas(store.database),
        )


def site_organisation(directory: Directory) -> OrganisationId | None:
    """The organisation of those who run the site, if it was made already."""
    for found in directory.organisations(None, "", 10_000):
        if found.name == SITE_ORGANISATION:
            return found.organisation_id
    return None


def make_first_key(service: Service, name: str) -> str:
    """The text of an operator's key for a directory in which nobody is yet.

    It makes the organisation of those who run the site, with one project and one account.

    Raises:
        ConflictError: there is an account already.
    """
    if not service.directory.is_empty():
        raise ConflictError(
            "the directory has accounts already",
            next_step="Make further keys through the API, with a key of an operator or an owner.",
        )
    now_s, new_id = service.now_s(), service.control.new_id
    organisation_id = site_organisation(service.directory)
    if organisation_id is None:
        organisation_id = OrganisationId(new_id("org"))
        service.directory.add_organisation(Organisation(organisation_id, SITE_ORGANISATION, now_s))
    gpu_count = service.control.around.fleet.gpu_count
    project = Project(TenantId(new_id("ten")), organisation_id, "default", gpu_count, now_s)
    service.directory.add_project(project)
    account_id = AccountId(new_id("acc"))
    service.directory.add_account(
        Account(account_id, organisation_id, name, "user", AccountRole.OPERATOR, now_s)
    )
    return service.new_key(account_id, "first key")[1]


def parse_listen(text: str) -> tuple[str, int]:
    """Host and TCP port of ``HOST:PORT``.

    Raises:
        InputError: not of this form.

    Example:
        >>> parse_listen("127.0.0.1:8080")
        ('127.0.0.1', 8080)
    """
    host, _, number = text.rpartition(":")
    if not host or not number.isdecimal() or int(number) > 65_535:
        raise InputError(f"{text!r} is not HOST:PORT", next_step="Write e.g. 127.0.0.1:8080.")
    return host.strip("[]"), int(number)


def load_application(place: str) -> Callable[[Service], Any]:
    """The maker of an ASGI application at ``module:function``.

    The API is above this room, so it is named and not imported, as uvicorn does too.
    """
    module, _, name = place.partition(":")
    maker: Callable[[Service], Any] = getattr(import_module(module), name)
    return maker


def serve(home: Home, listen: str, application: str, *, grace_s: float = 20.0) -> None:
    """Serve until a signal comes; then stop taking work, finish or let go, and return.

    Raises:
        InputError: ``listen`` is malformed.
    """
    host, tcp_port = parse_listen(listen)
    with open_service(home) as service:
        server = make_server(load_application(application), service, host, tcp_port)
        run_server(server, service, grace_s)


class Server(uvicorn.Server):
    """A server that tells the service at once when it is told to stop, so that streams end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        """Serve ``config``, and speak to ``service``."""
        super().__init__(config)
        self._service = service

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.is_stopping = True
        super().handle_exit(sig, frame)


def make_server(
    application: Callable[[Service], Any],
    service: Service,
    host: str,
    tcp_port: int,
    log_level: str = "info",
) -> Server:
    """A server of a service's application; a TCP port of 0 takes any that is free."""
    config = uvicorn.Config(
        application(service),
        host=host,
        port=tcp_port,
        lifespan="off",
        server_header=False,
        # Paths are in the audit; an access log would keep what callers put into queries.
        access_log=False,
        timeout_graceful_shutdown=5,
        log_level=log_level,
    )
    return Server(config, service)


def run_server(server: uvicorn.Server, service: Service, grace_s: float) -> None:
    """Run a server with its worker beside it, and stop both in order.

    uvicorn repeats a signal for the handler that was there before it; the default one would end
    the process before the worker has let go.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _noted)
    service.worker.start()
    try:
        server.run()
    finally:
        service.is_stopping = True
        service.worker.stop(grace_s)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """A signal that the server has heeded already."""
