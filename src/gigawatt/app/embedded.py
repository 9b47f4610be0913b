"""The service without a server: the same application over a home, for whoever may open its files.

Who can read and write the store needs no key, so the caller is made here: an operator of the site.
Operations are carried on by detached workers, so they outlive the command (ADR-0009).
"""

import secrets
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields

from typing_extensions import override

from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.pump import Pump
from gigawatt.app.rate import RateLimiter
from gigawatt.app.service import SITE_ORGANISATION, Service, open_service, site_organisation
from gigawatt.app.wiring import worker_name
from gigawatt.app.worker import start_worker
from gigawatt.errors import ConflictError, DataError, InputError, UnknownIdError
from gigawatt.identity.accounts import (
    Account,
    AccountId,
    AccountRole,
    ApiKeyId,
    Organisation,
    OrganisationId,
    Project,
    check_label,
)
from gigawatt.identity.keys import ApiKey
from gigawatt.identity.permissions import Caller
from gigawatt.ids import OperationId, TenantId
from gigawatt.interfaces.replicas import Replicas
from gigawatt.store.replicas import open_replicas

LOCAL_ACCOUNT = AccountId("acc_local")
LOCAL_KEY = ApiKeyId("key_local")
LOCAL_ORGANISATION = OrganisationId("org_local")
DEFAULT_PROJECT = "ten_default"
"""The project of whoever names none."""

GPU_COUNT_MAX = 10_000_000
"""Quota of a project that is made here: whoever owns the files needs none."""


class DetachedWorkers:
    """Carries operations on in processes that outlive this one; one for each operation."""

    def __init__(
        self,
        home: Home,
        control: Control,
        replicas: Replicas,
        chores: Sequence[Callable[[], object]],
    ) -> None:
        """Start none yet; ``chores`` may commit operations and are done at every look."""
        self._chores = tuple(chores)
        self.name = worker_name()
        self.recent_errors: deque[str] = deque(maxlen=20)
        self._home = home
        self._control = control
        self._replicas = replicas
        self._started: dict[OperationId, subprocess.Popen[bytes]] = {}

    @property
    def is_alive(self) -> bool:
        """Always: work is looked for when it is made, and while somebody watches."""
        return True

    def start(self) -> None:
        """Nothing to begin."""

    def wake(self) -> None:
        """Start a worker for each operation that nobody carries; it goes if another is at work."""
        for chore in self._chores:
            chore()
        now_s = self._control.around.clock.now_s()
        for hold in self._replicas.holds():
            if hold.worker is not None and (hold.expires_s or 0.0) > now_s:
                continue
            worker = self._started.get(hold.operation_id)
            if worker is None or worker.poll() is not None:
                self._started[hold.operation_id] = start_worker(self._home, hold.operation_id)

    def tend(self) -> None:
        """Look after the work, while somebody watches.

        Raises:
            DataError: a worker died of something that trying again does not mend.
        """
        for operation_id, worker in self._started.items():
            if status := worker.poll():
                raise DataError(
                    f"the worker of operation {operation_id} ended with {status}",
                    next_step=f"See the end of {self._home.log_path}, then watch the cluster "
                    "again; nothing is lost.",
                )
        self.wake()

    def retire(self) -> None:
        """Nothing to retire: workers outlive this process."""

    def troubles(self) -> tuple[str, ...]:
        """None: work is looked for when it is made."""
        return ()

    def is_lost(self, worker: str) -> bool:
        """Not that it is known: a command is too brief to see that a beat stands still."""
        del worker
        return False

    def stop(self, grace_s: float) -> None:
        """Leave workers that are still at work to themselves."""
        del grace_s
        for worker in self._started.values():
            if worker.poll() is None:
                # It outlives this process on purpose; say so, or Python warns of it.
                worker.returncode = 0


@dataclass(slots=True)
class EmbeddedService(Service):
    """The service of a home for its owner: nobody has to show a key, and nobody is slowed."""

    @override
    def authenticate(self, key: str) -> Caller:
        """The owner, whatever the key."""
        del key
        organisation_id = site_organisation(self.directory) or LOCAL_ORGANISATION
        account = Account(
            LOCAL_ACCOUNT, organisation_id, "local", "user", AccountRole.OPERATOR, 0.0
        )
        key_kept = ApiKey(LOCAL_KEY, LOCAL_ACCOUNT, None, "local", "", 0.0, None, None, None)
        return Caller(account, key_kept)

    def adopt_project(self, name: str) -> TenantId:
        """The project of this id or name, made for the site's organisation if there is none.

        Raises:
            InputError: not a name that an id can have.
        """
        project_id = TenantId(name)
        with suppress(UnknownIdError):
            return self.directory.project(project_id).project_id
        for found in self.directory.projects(None, "", 10_000):
            if found.name == name:
                return found.project_id
        check_label("a project", name)
        if not name.isascii() or " " in name:
            raise InputError(f"the project {name[:40]!r} has letters that an id cannot have")
        now_s = self.now_s()
        with suppress(ConflictError):  # somebody else is making it too
            if site_organisation(self.directory) is None:
                made = Organisation(LOCAL_ORGANISATION, SITE_ORGANISATION, now_s)
                self.directory.add_organisation(made)
        owner = site_organisation(self.directory) or LOCAL_ORGANISATION
        with suppress(ConflictError):
            self.directory.add_project(Project(project_id, owner, name, GPU_COUNT_MAX, now_s))
        return project_id


@contextmanager
def open_embedded(home: Home) -> Iterator[EmbeddedService]:
    """The service of a home for whoever may open its files; closed at the end."""
    with open_service(home) as served, closing(open_replicas(home.store_place)) as replicas:
        pump = Pump(served.admission, f"pump:{secrets.token_hex(4)}")
        chores = [served.follower.follow_due, pump.run_if_due]
        workers = DetachedWorkers(home, served.control, replicas, chores)
        unlimited = RateLimiter(1e9, 1e9)
        try:
            own = {field.name: getattr(served, field.name) for field in fields(Service)}
            yield EmbeddedService(**own | {"worker": workers, "rate": unlimited})
        finally:
            workers.stop(0.0)
