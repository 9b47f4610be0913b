"""Carries a tenant's checked requests to the BMCs of its own nodes, with its cluster's account.

Connections come from the cluster's own address where the out-of-band plane gives it one, so that
the switch too keeps tenants apart.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from gigawatt.app.home import Home, read_text
from gigawatt.app.redfish_policy import RedfishCall, shown_answer
from gigawatt.app.site_file import parse_site
from gigawatt.boundary.names import bmc_secret_ref_of, bmc_username_of
from gigawatt.errors import (
    ConflictError,
    DriverPermanentError,
    DriverRetryableError,
    InputError,
    RateError,
    UnknownIdError,
)
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId, SiteId
from gigawatt.interfaces.secrets import Secrets
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.planner.phases import Phase

if TYPE_CHECKING:
    from gigawatt.drivers.redfish.settings import RedfishSettings

CALL_S_MAX = 20.0
"""Time of one request, all of it: BMCs that never end must not hold our threads. Ours."""
CALLS_AT_ONCE_MAX = 2
"""Requests to one BMC at once: they are slow machines, and the operator needs them too. Ours."""


@dataclass(frozen=True, slots=True)
class BmcRequest:
    """One request to one BMC; the password is not shown."""

    url: str
    fingerprint: str
    method: str
    path: str
    body: Mapping[str, Any] | None
    username: str
    password: str = field(repr=False)
    source_ipv4: str | None
    connect_s_max: float
    limit_s: float


@dataclass(frozen=True, slots=True)
class BmcAnswer:
    """What came: status, and the bytes of the body."""

    status: int
    body: bytes


Send = Callable[[BmcRequest], BmcAnswer]


class BmcBook(Protocol):
    """Where BMCs are, and from where a cluster's requests have to come."""

    def request_to(
        self, site_id: SiteId, cluster_id: ClusterId, node_id: NodeId, secrets: Secrets
    ) -> "Callable[[RedfishCall], BmcRequest] | None":
        """What makes a request to a node's BMC; None if its BMC is not known.

        Raises:
            DriverRetryableError: the out-of-band switch does not answer, or lets nothing through.
        """
        ...


class RedfishProxy:
    """The way of tenants to their BMCs."""

    def __init__(
        self,
        fleet: Fleet,
        secrets: Secrets,
        book: BmcBook,
        send: Send,
        media_prefixes: Sequence[str] = (),
    ) -> None:
        """Serve the nodes of ``fleet``; ``send`` carries requests."""
        self._fleet = fleet
        self._secrets = secrets
        self._book = book
        self._send = send
        self.media_prefixes = tuple(media_prefixes)
        self._lock = threading.Lock()
        self._busy: Counter[NodeId] = Counter()

    def carry(
        self, record: ClusterRecord, node_id: NodeId, call: RedfishCall, prefix: str
    ) -> object:
        """What the tenant of a cluster sees of the answer of a node's BMC.

        Raises:
            ConflictError: the cluster is not active, or holds only a part of the node; the site
                has no BMC of it that can be reached; or the BMC does not take the values.
            DriverPermanentError: the BMC refuses.
            DriverRetryableError: the BMC does not answer as it should, or in time.
            RateError: others are asking this BMC just now.
            UnknownIdError: the cluster has no such node.
        """
        site_id = self._refuse(record, node_id)
        making = self._book.request_to(site_id, record.cluster_id, node_id, self._secrets)
        if making is None:
            raise ConflictError(
                f"the BMC of {node_id} is not known here",
                next_step="Only nodes whose BMCs site.yaml names can be reached so.",
            )
        return _judged(node_id, self._answer(node_id, making(call)), prefix)

    def _refuse(self, record: ClusterRecord, node_id: NodeId) -> SiteId:
        """The node's site, if the tenant has the whole node now."""
        target = record.target
        members = () if target is None else target.members
        member = next((one for one in members if one.node_id == node_id), None)
        if target is None or member is None or member.role == "spare":
            raise UnknownIdError(f"cluster {record.cluster_id!r} has no node {node_id!r}")
        if record.phase is not Phase.ACTIVE:
            raise ConflictError(
                f"cluster {record.cluster_id!r} is {record.phase}, not active",
                next_step="Wait until it is active.",
            )
        row = self._fleet.node_index(node_id)
        if member.gpu_mask != int(self._fleet.full_gpu_mask_of_node[row]):
            raise ConflictError(
                f"the cluster has a part of {node_id!r}; its BMC commands the whole node",
                next_step="Take whole nodes to command them.",
            )
        return target.site_id

    def _answer(self, node_id: NodeId, asked: BmcRequest) -> BmcAnswer:
        """Ask in a thread of its own: a BMC that drips its answer must not hold the caller's.

        The turn is the thread's, so no more than the allowed number can ever hang on one BMC.
        """
        self._take_turn(node_id)
        answer: Future[BmcAnswer] = Future()

        def work() -> None:
            try:
                answer.set_result(self._send(asked))
            except Exception as error:  # noqa: BLE001 - handed to who waits
                answer.set_exception(error)
            finally:
                self._end_turn(node_id)

        threading.Thread(target=work, name=f"redfish {node_id}", daemon=True).start()
        try:
            return answer.result(timeout=asked.limit_s)
        except TimeoutError:
            device = DeviceId(f"bmc/{node_id}")
            raise DriverRetryableError(
                f"{device}: no answer within {asked.limit_s:g} s", device=device
            ) from None

    def _take_turn(self, node_id: NodeId) -> None:
        with self._lock:
            if self._busy[node_id] >= CALLS_AT_ONCE_MAX:
                raise RateError(
                    f"{CALLS_AT_ONCE_MAX} requests to the BMC of {node_id!r} are under way",
                    retry_after_s=1.0,
                )
            self._busy[node_id] += 1

    def _end_turn(self, node_id: NodeId) -> None:
        with self._lock:
            self._busy[node_id] -= 1
            if not self._busy[node_id]:
                del self._busy[node_id]


def _judged(node_id: NodeId, answer: BmcAnswer, prefix: str) -> object:
    """What a tenant is told; never an address of the BMC's, nor a word of who we are there."""
    device = DeviceId(f"bmc/{node_id}")
    if answer.status in {401, 403}:
        raise DriverPermanentError(
            f"{device} does not take the cluster's account ({answer.status})",
            device=device,
            next_step="Run 'gw reconcile', which sets the account right.",
        )
    if answer.status == 404:
        raise UnknownIdError(f"{device} has no such resource")
    if answer.status >= 500 or answer.status in {408, 425, 429}:
        raise DriverRetryableError(f"{device} answers {answer.status}", device=device)
    if 400 <= answer.status < 500:
        raise ConflictError(
            f"{device} refuses ({answer.status})",
            next_step="Read the resource: it says which values this machine takes.",
        )
    if not 200 <= answer.status < 300:
        # A redirection too: nobody follows where a BMC points.
        raise DriverPermanentError(f"{device} answers {answer.status}", device=device)
    if not answer.body.strip():
        return {}
    try:
        return shown_answer(json.loads(answer.body), prefix)
    except (ValueError, RecursionError, InputError) as error:
        raise DriverPermanentError(
            f"{device} answers what is no JSON that can be read", device=device
        ) from error


@dataclass(frozen=True)
class SettingsBook:
    """BMCs as the settings of the Redfish drivers of a site name them; by their number none."""

    settings: Sequence["RedfishSettings"]

    def request_to(
        self, site_id: SiteId, cluster_id: ClusterId, node_id: NodeId, secrets: Secrets
    ) -> Callable[[RedfishCall], BmcRequest] | None:
        """See ``BmcBook.request_to``.

        Raises:
            DriverRetryableError: the switch does not answer, or lets the cluster not through.
        """
        from gigawatt.drivers.redfish.connection import url_of  # noqa: PLC0415 - real BMCs only
        from gigawatt.drivers.redfish.routes import proxy_address_of  # noqa: PLC0415

        own = next((one for one in self.settings if node_id in one.reach.bmcs), None)
        if own is None:
            return None
        source = asyncio.run(proxy_address_of(own, site_id, cluster_id))
        if source is None:
            device = DeviceId(f"oob/{site_id}")
            raise DriverRetryableError(
                f"{device} lets cluster {cluster_id} reach no BMC",
                device=device,
                next_step="Run 'gw reconcile', which opens the cluster's ways.",
            )
        address, reach = own.reach.bmcs[node_id], own.reach
        username = bmc_username_of(cluster_id)
        password = secrets.read(bmc_secret_ref_of(cluster_id, node_id))
        return lambda call: BmcRequest(
            url=url_of(address),
            fingerprint=address.fingerprint,
            method=call.method,
            path=call.path,
            body=call.body,
            username=username,
            password=password,
            source_ipv4=source,
            connect_s_max=reach.connect_s_max,
            limit_s=min(CALL_S_MAX, reach.call_s_max),
        )


def open_redfish_proxy(
    home: Home, fleet: Fleet, secrets: Secrets, media_prefixes: Sequence[str] = ()
) -> RedfishProxy:
    """The proxy over the BMCs that the site file of a home names; none without a site file."""
    from gigawatt.app.redfish_sender import send_to_bmc  # noqa: PLC0415 - real BMCs only

    settings: list[Any] = []
    if home.site_path.exists():
        site = parse_site(read_text(home.site_path), str(home.site_path))
        settings = [part.settings for part in site.parts if part.driver == "redfish"]
    return RedfishProxy(fleet, secrets, SettingsBook(settings), send_to_bmc, media_prefixes)
