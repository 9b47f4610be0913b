"""Wiring of the service: control plane, directory, worker, limits, and who is let in."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gigawatt.app.admission import Admission
from gigawatt.app.control import Control
from gigawatt.app.economics_desk import EconomicsDesk
from gigawatt.app.firewall import FirewallFollower
from gigawatt.app.gpu_loads import GpuLoads, open_loads
from gigawatt.app.home import Home
from gigawatt.app.instance_release import release_unwanted
from gigawatt.app.lambda_settings import LambdaSettings
from gigawatt.app.login.settings import read_secret, read_settings
from gigawatt.app.market.market import Market
from gigawatt.app.market.opening import open_market
from gigawatt.app.market.order_file import order_in_force
from gigawatt.app.market.utilisation_desk import UtilisationDesk
from gigawatt.app.passes import Passes
from gigawatt.app.proving import FleetProof
from gigawatt.app.rate import RateLimiter
from gigawatt.app.redfish_proxy import RedfishProxy, open_redfish_proxy
from gigawatt.app.secrets_key import open_secrets
from gigawatt.app.upkeep import PERIOD_S, Upkeep
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.app.watch.store_metrics import StoreMetrics
from gigawatt.app.watch.watching import Watching, watching
from gigawatt.app.wiring import PLAIN_SITE, FakeSite, open_control
from gigawatt.app.worker_loop import Worker, WorkerLoop
from gigawatt.errors import ConflictError, UnauthenticatedError
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
from gigawatt.identity.provider import LoginSettings
from gigawatt.identity.sessions import (
    IDLE_S_MAX,
    check_key_session,
    check_session,
    key_behind,
    parse_cookie,
)
from gigawatt.ids import OperationId, TenantId
from gigawatt.interfaces.call_audit import CallAudit
from gigawatt.interfaces.directory import Directory, Try
from gigawatt.interfaces.file_systems import FileSystems
from gigawatt.interfaces.firewall import FirewallRulesets
from gigawatt.interfaces.instances import Instances
from gigawatt.interfaces.members import Members, NewSecret
from gigawatt.interfaces.receipts import Receipts
from gigawatt.interfaces.sessions import Sessions
from gigawatt.interfaces.storage_quota import StorageQuotas
from gigawatt.interfaces.tenancy import Tenancy
from gigawatt.interfaces.trail import Trail
from gigawatt.store.call_audit import open_call_audit
from gigawatt.store.directory import open_directory
from gigawatt.store.file_systems import SqlFileSystems
from gigawatt.store.firewall import SqlFirewallRulesets
from gigawatt.store.gauges import open_gauges
from gigawatt.store.instances import open_instances
from gigawatt.store.limits import open_limit_book
from gigawatt.store.members import open_members
from gigawatt.store.receipts import open_receipts
from gigawatt.store.replicas import open_replicas
from gigawatt.store.sessions import open_sessions
from gigawatt.store.storage_quota import SqlStorageQuotas
from gigawatt.store.store import SqlStore
from gigawatt.store.tenancy import open_tenancy
from gigawatt.store.trail import open_trail
from gigawatt.store.turned_away import open_turned_away_book
from gigawatt.store.waiting import open_waiting_room
from gigawatt.units import MINUTE_S

if TYPE_CHECKING:
    # Cryptography takes a while to import, and a command that serves itself needs no login.
    from gigawatt.app.login.login import Login

TOUCH_S = float(MINUTE_S)
"""Least time between two notes that a key was used: a write for each request would cost more."""

SIGN_INS_PER_S = 1.0
SIGN_IN_COUNT_MAX = 60.0
"""Sign-ins with a key from one address: for long, and at once. Ours: an office behind one."""

CALLBACK_PATH = "/gw/v1/login/callback"
"""Where a login provider sends browsers back to; registered there by the operator."""

SITE_ORGANISATION = "site"
"""Name of the organisation of those who run the site."""


@dataclass(slots=True)
class Service:
    """Everything that a request needs; ``login`` is None while API keys alone are used."""

    control: Control
    directory: Directory
    worker: Worker
    rate: RateLimiter
    upkeep: Upkeep
    admission: Admission
    trail: Trail
    file_systems: FileSystems
    rulesets: FirewallRulesets
    follower: FirewallFollower
    storage_quotas: StorageQuotas
    audit: CallAudit
    watching: Watching
    instances: Instances
    lambda_settings: LambdaSettings
    sessions: Sessions
    members: Members
    tenancy: Tenancy
    receipts: Receipts
    redfish: RedfishProxy
    market: Market
    loads: GpuLoads
    login: "Login | None" = None
    is_stopping: bool = False
    stream_count: int = 0
    tries: set[str] = field(default_factory=set)
    sign_in_rate: RateLimiter = field(
        default_factory=lambda: RateLimiter(SIGN_INS_PER_S, SIGN_IN_COUNT_MAX)
    )
    desk: EconomicsDesk = field(default_factory=EconomicsDesk)
    utilisation: UtilisationDesk = field(default_factory=UtilisationDesk)
    proofs: Passes[FleetProof] = field(default_factory=lambda: Passes("prf"))
    reconciliations: Passes[Reconciliation] = field(default_factory=lambda: Passes("rec"))

    def now_s(self) -> float:
        """Unix seconds."""
        return self.control.around.clock.now_s()

    def new_try(self) -> Try:
        """A try of this server to carry a request out; ``tries`` has those that are not over."""
        holder = f"{self.worker.name}/{secrets.token_hex(8)}"
        return Try(OperationId(self.control.new_id("op")), holder, self._is_over)

    def _is_over(self, holder: str, has_beat: bool) -> bool:  # noqa: FBT001 - ``Try.is_over``
        worker = holder.rpartition("/")[0]
        if worker == self.worker.name:
            return holder not in self.tries
        return not has_beat or self.worker.is_lost(worker)

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

    def authenticate_session(self, cookie: str, *, is_use: bool = True) -> Caller:
        """Whose session a cookie is, if it is in force; ``is_use`` False does not prolong it.

        Raises:
            UnauthenticatedError: nobody's.
        """
        session_id, secret = parse_cookie(cookie)
        found, now_s = self.sessions.find_session(session_id), self.now_s()
        session, key_id = None if found is None else found[0], key_behind(secret)
        if key_id is not None:
            shown = self.directory.find_caller(key_id)
            key = None if shown is None else shown[0]
            kept = check_key_session(session, secret, key, now_s, self.idle_s_max)
        elif self.login is None:
            raise UnauthenticatedError("people cannot log in here; send an API key")
        else:
            kept = check_session(session, secret, now_s, self.idle_s_max)
        assert found is not None, "a session that is in force was found"
        if is_use and now_s - kept.last_used_s > TOUCH_S:
            self.sessions.touch_session(kept.session_id, now_s)
        return Caller(found[1], kept)

    @property
    def idle_s_max(self) -> float:
        """Time without a request after which a session is over."""
        return IDLE_S_MAX if self.login is None else self.login.idle_s_max

    def rotate_key(self, key_id: ApiKeyId, grace_s: float) -> tuple[ApiKey, str]:
        """Give a key another secret; what is kept, and the text that is shown once.

        Raises:
            ConflictError: the key is over.
        """
        secret = secret_text(secrets.token_bytes(SECRET_BYTE_COUNT))
        new = NewSecret(digest_of(secret), grace_s)
        return self.members.rotate_key(key_id, new, self.now_s()), key_text(key_id, secret)

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


def _open_admission(
    control: Control,
    store: SqlStore,
    directory: Directory,
    storage_quotas: StorageQuotas,
    follower: FirewallFollower,
) -> Admission:
    """What judges and keeps wishes, on the books of a store."""
    return Admission(
        control=control,
        directory=directory,
        room=open_waiting_room(store),
        book=open_turned_away_book(store),
        limits=open_limit_book(store),
        storage_quotas=storage_quotas,
        follower=follower,
        order=order_in_force(),
    )


@contextmanager
def open_service(
    home: Home,
    devices: FakeSite = PLAIN_SITE,
    reconcile_s: float = PERIOD_S,
    settings: WatchSettings | None = None,
) -> Iterator[Service]:
    """The service of a home; its worker and its upkeep are not started.

    It reconciles every ``reconcile_s`` seconds, never if 0. Nothing is shown of what is counted.
    """
    with (
        watching(settings or WatchSettings()) as watched,
        open_control(home, devices, watched.watch) as control,
    ):
        store = control.around.store
        assert isinstance(store, SqlStore), "a home has a SQL store"
        directory, instances = open_directory(store), open_instances(store)
        rulesets = SqlFirewallRulesets(store.database)
        follower = FirewallFollower(control, rulesets)
        storage_quotas = SqlStorageQuotas(store.database)
        admission = _open_admission(control, store, directory, storage_quotas, follower)
        opened = open_market(admission, store, f"pump:{secrets.token_hex(4)}")
        chores: list[Callable[[], object]] = [
            follower.follow_due,
            lambda: release_unwanted(control, instances),
            *opened.chores,
        ]
        with closing(open_replicas(home.store_place)) as replicas:
            worker = WorkerLoop(control, directory, replicas, chores)
            _count(watched, control, store, worker)
            _count_waiting(watched, admission)
            service = Service(
                control=control,
                directory=directory,
                worker=worker,
                rate=RateLimiter(),
                trail=open_trail(store),
                upkeep=Upkeep(control, worker, replicas, reconcile_s),
                admission=admission,
                file_systems=SqlFileSystems(store.database),
                rulesets=rulesets,
                follower=follower,
                storage_quotas=storage_quotas,
                audit=open_call_audit(store),
                watching=watched,
                instances=instances,
                lambda_settings=LambdaSettings.from_environment(control.around.fleet),
                sessions=open_sessions(store),
                members=open_members(store),
                tenancy=open_tenancy(store),
                receipts=open_receipts(store),
                redfish=_open_redfish(home, control, store),
                market=opened.market,
                loads=_open_loads(watched, control),
            )
            _let_log_in(service, home)
            _let_pay(service, home, store)
            yield service


def _open_redfish(home: Home, control: Control, store: SqlStore) -> RedfishProxy:
    around = control.around
    return open_redfish_proxy(home, around.fleet, open_secrets(home, store, around.clock))


def _open_loads(watched: Watching, control: Control) -> GpuLoads:
    return open_loads(watched.settings.telemetry, control.around.fleet, control.around.clock)


def _let_log_in(service: Service, home: Home) -> None:
    """Let people log in if the home says by whom they are vouched for."""
    settings = read_settings(home)
    if settings is not None:
        service.login = make_login(service, settings, read_secret(settings))


def _let_pay(service: Service, home: Home, store: SqlStore) -> None:
    """Let invoices be paid through whom the home says."""
    if not home.payments_path.exists():
        return
    from gigawatt.app.market.payment_settings import (  # noqa: PLC0415 - seldom wanted
        read_payment_settings,
    )

    settings, payments = read_payment_settings(home), service.market.payments
    secrets_kept = open_secrets(home, store, service.control.around.clock)
    payments.due_days = settings.due_days
    payments.providers = settings.providers(secrets_kept)


def make_login(service: Service, settings: LoginSettings, secret: str) -> "Login":
    """Login into a service; the provider is not asked yet."""
    from gigawatt.app.login.admission import Doorkeeper  # noqa: PLC0415 - as above
    from gigawatt.app.login.login import Login  # noqa: PLC0415
    from gigawatt.app.login.provider import OpenidProvider  # noqa: PLC0415

    now_s = service.now_s
    doorkeeper = Doorkeeper(settings, service.members, service.control.new_id, now_s)
    provider = OpenidProvider(settings, secret, settings.public_url + CALLBACK_PATH, now_s)
    return Login(settings, provider, doorkeeper, service.sessions, now_s)


def _count_waiting(watched: Watching, admission: Admission) -> None:
    watched.metrics.read_gauge(
        "waiting_requests",
        "Requests that wait in the queue for room.",
        lambda: len(admission.room.waiting()),
    )


def _count(watched: Watching, control: Control, store: SqlStore, worker: WorkerLoop) -> None:
    """Let the metrics know the store, its transactions, and the worker."""
    around = control.around
    watched.registry.register(StoreMetrics(around.fleet, open_gauges(store), around.clock))
    store.database.observe_with(watched.metrics.transaction_ended)
    watched.metrics.read_gauge(
        "worker_tasks", "Operations that this process carries on.", lambda: worker.task_count
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
