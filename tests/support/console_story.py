"""Eight weeks of a made-up site, told in seconds: what the pictures of the console show.

Every date, name, id and number of it is the same each time: its clock stands still but when the
story moves it on, and its ids come from a seed. Fleet, devices, tenants and prices are made up.
"""

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gigawatt.app.home import Home
from gigawatt.app.rate import RateLimiter
from gigawatt.app.server import APPLICATION, load_application
from gigawatt.app.service import make_first_key
from gigawatt.app.serving import Serving, serving
from gigawatt.app.wiring import FakeSite
from gigawatt.drivers.fake.latency import SITE_LATENCY_MEDIAN_S, Latency
from gigawatt.market.demo_card import NOTE, demo_rates
from gigawatt.sdk import Client
from gigawatt.sdk import documents as doc
from gigawatt.units import TIB

PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRv ada"
)

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
"""When the pictures are made."""

STEP_S, FINE_STEP_S = 10.0, 0.25
"""How far the clock goes on at once while an operation is under way; while it is looked at."""

LOOK_STEP_COUNT = 4
"""Steps between two looks at an operation: a lease is renewed at each, a request is dear."""

OPERATION_S_MAX = 7_200.0
"""Longest operation of the story, by its own clock."""

LATENCY_MEDIAN_S = {**SITE_LATENCY_MEDIAN_S, "boot host": 120.0, "remove host": 120.0}
"""How long devices take; hosts less than at a site, so that the story is told sooner."""

TENANTS = {
    "ada": ("Polaris Labs", "language", 6_500),
    "bo": ("Orchard Robotics", "robots", 3_000),
    "cy": ("Cedar Bio", "proteins", 2_500),
    "dana": ("Juniper Health", "imaging", 6_000),
}
"""Owner of each organisation, its name, its project, and the GPUs that it was granted."""


class StoryClock:
    """Stands still until the story moves it on; whoever sleeps waits for that."""

    def __init__(self) -> None:
        """Show the beginning."""
        self.at_s = BEGIN.timestamp()
        self._due_s: set[float] = set()

    def has_sleepers(self) -> bool:
        """Whether somebody sleeps still whose time has come."""
        return any(due_s <= self.at_s for due_s in tuple(self._due_s))

    def now_s(self) -> float:
        """Unix seconds."""
        return self.at_s

    async def sleep(self, duration_s: float) -> None:
        """Wait until the story has gone on so far."""
        until_s = self.at_s + duration_s
        self._due_s.add(until_s)
        try:
            while self.at_s < until_s:  # noqa: ASYNC110 - another thread moves it on
                await asyncio.sleep(0.005)
        finally:
            self._due_s.discard(until_s)


class StoryIds:
    """Ids that look like the product's own and are the same each time."""

    def __init__(self) -> None:
        """Begin with the seed."""
        self._random = random.Random(1846)  # noqa: S311 - the same each time on purpose
        self._lock = threading.Lock()

    def new(self, prefix: str) -> str:
        """The next id."""
        with self._lock:
            return f"{prefix}_{self._random.getrandbits(64):016x}"


@dataclass
class Story:
    """The site at the end of the story, and what is needed to go on.

    Fields: the key of each person by name; clients, projects and clusters by name; ids that paths
    of pages name.
    """

    url: str
    clock: StoryClock
    keys: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    project_ids: dict[str, str] = field(default_factory=dict)
    cluster_ids: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    ssh_key_id: str = ""

    def at(self, month: int, day: int, hour: int = 0, minute: int = 0) -> None:
        """Move on to a moment."""
        moment = datetime(2026, month, day, hour, minute, tzinfo=UTC).timestamp()
        assert moment >= self.clock.at_s, "a story goes forward"
        self.clock.at_s = moment

    def ended(self, who: str, operation_id: str | None) -> str:
        """An operation after its end."""
        assert operation_id is not None
        until_s = self.clock.at_s + OPERATION_S_MAX
        while self.clients[who].get_operation(operation_id).finished_at is None:
            assert self.clock.at_s < until_s, self.clients[who].get_operation(operation_id)
            for _ in range(LOOK_STEP_COUNT):
                self.go_on(STEP_S)
        return operation_id

    def go_on(self, duration_s: float) -> None:
        """Let time pass, and whoever waited for it do their work."""
        self.clock.at_s += duration_s
        threading.Event().wait(0.01)
        while self.clock.has_sleepers():
            threading.Event().wait(0.01)

    def launch(self, who: str, name: str, gpu_count: int, **more: object) -> str:
        """A cluster of a person's project, running; the operation that launched it."""
        wish = {"project_id": self.project_ids[who], "name": name, "gpu_count": gpu_count, **more}
        made = self.clients[who].create_cluster(doc.ClusterRequest.model_validate(wish))
        self.cluster_ids[name] = made.id
        return self.ended(who, made.operation_id)

    def release(self, who: str, name: str) -> None:
        """The end of a cluster."""
        made = self.clients[who].release_cluster(self.cluster_ids[name])
        self.ended(who, made.operation_id)


@contextmanager
def told(folder: Path) -> Iterator[Story]:
    """A server over the site at the end of the story."""
    clock = StoryClock()
    home = Home(folder / "home", database_url=None)
    site = FakeSite(
        latency=Latency(LATENCY_MEDIAN_S, spread=0.3, seed=7), clock=clock, ids=StoryIds()
    )
    with serving(home, load_application(APPLICATION), devices=site) as served, ExitStack() as stack:
        served.service.rate = RateLimiter(rate_per_s=1e6, burst_count=1e6)
        story = Story(served.url, clock)
        _open(served, story, stack)
        _october(story)
        _november(story)
        _today(story)
        try:
            yield story
        finally:
            # What is under way ends, so that the server need not break it off.
            _end_all(story)


def _open(served: Serving, story: Story, stack: ExitStack) -> None:
    """The operator, the tenants, and the rate card."""
    story.keys["olu"] = make_first_key(served.service, "olu")
    operator = stack.enter_context(Client(story.url, story.keys["olu"]))
    story.clients["olu"] = operator
    for who, (name, project_name, gpu_count) in TENANTS.items():
        organisation = operator.create_organisation(name)
        project = operator.create_project(organisation.id, project_name)
        operator.set_quota(project.id, gpu_count)
        operator.set_storage_quota(project.id, 200 * TIB)
        account = operator.create_account(
            organisation.id, doc.CreateAccount(name=who, role="owner")
        )
        key = operator.create_api_key(account.id, doc.CreateApiKey(name="laptop")).key
        assert key is not None
        story.keys[who], story.project_ids[who] = key, project.id
        story.clients[who] = stack.enter_context(Client(story.url, key))
    listed = {
        one.gpu_type: one.price_micro_usd_per_gpu_hour for one in operator.get_fleet().gpu_types
    }
    rates = [
        doc.NewRate(
            gpu_type=row.gpu_type,
            term=row.term.value,
            price_micro_usd_per_gpu_hour=row.price_micro_usd_per_gpu_hour,
            gpu_count_min=row.gpu_count_min,
            month_count_min=row.month_count_min,
            note=NOTE,
        )
        for row in demo_rates(listed, story.clock.at_s)
    ]
    operator.set_rates(doc.SetRates(rates=rates))
    operator.create_product_price(
        doc.CreateProductPrice(product="storage", price_micro_usd=60_000, from_month="2026-10")
    )


def _october(story: Story) -> None:
    """Four tenants come; their first month is billed."""
    ada = story.clients["ada"]
    story.at(10, 1, 8)
    story.ssh_key_id = ada.create_ssh_key(story.project_ids["ada"], "ada", PUBLIC_KEY).id
    files = ada.create_file_system(
        doc.FileSystemRequest(
            project_id=story.project_ids["ada"], name="data-sets", quota_bytes=80 * TIB
        )
    )
    while ada.get_file_system(files.id).state != "active":
        story.go_on(STEP_S)
    mounts = [{"file_system_id": files.id}]
    story.ids["operation"] = story.launch(
        "ada", "train", 2_048, spare_count=2, ssh_key_ids=[story.ssh_key_id],
        file_system_mounts=mounts,
    )  # fmt: skip
    story.at(10, 2, 9, 30)
    story.launch("bo", "arm-policy", 1_536, spare_count=1)
    story.at(10, 7, 13)
    story.launch("cy", "fold", 512)
    story.at(10, 19, 7)
    story.launch("dana", "imaging", 1_024)
    story.at(10, 26, 18)
    story.release("cy", "fold")
    story.at(11, 2, 6)
    story.clients["olu"].close_month("2026-10")


def _november(story: Story) -> None:
    """More come, and reserve."""
    story.at(11, 9, 10)
    story.launch("bo", "gripper", 512)
    story.at(11, 16, 11)
    story.launch("cy", "fold-2", 1_536, spare_count=1)
    story.at(11, 18, 9)
    story.launch("cy", "dock", 512)
    ada = story.clients["ada"]
    grown = ada.grow_cluster(story.cluster_ids["train"], 256)
    story.ended("ada", grown.operation_id)
    gpu_type = story.clients["olu"].get_fleet().gpu_types[0].gpu_type
    for who, name, month, gpu_count in (("ada", "next-model", 1, 512), ("dana", "trial", 2, 256)):
        wish = doc.ReservationRequest(
            project_id=story.project_ids[who],
            name=name,
            gpu_count=gpu_count,
            gpu_type=gpu_type,
            from_at=datetime(2027, month, 4, tzinfo=UTC),
            months=2,
        )
        story.clients[who].create_reservation(wish)
    spend = doc.SetBudget(amount_micro_usd=5_000_000 * 10**6)
    ada.set_budget(story.project_ids["ada"], spend)


def _today(story: Story) -> None:
    """A day with a shape, two bad nodes, and somebody who waits."""
    operator = story.clients["olu"]
    story.at(11, 22, 13)
    story.launch("dana", "sweep", 1_024)
    story.at(11, 22, 19)
    story.release("dana", "sweep")
    story.at(11, 22, 21)
    story.launch("ada", "nightly", 1_536)
    story.at(11, 23, 5)
    story.release("ada", "nightly")
    story.at(11, 23, 7)
    story.launch("bo", "distil", 640)
    story.at(11, 23, 9, 12)
    held = operator.get_cluster(story.cluster_ids["train"]).status
    assert held is not None
    assert held.members is not None
    story.ids["node"] = held.members[77]
    operator.quarantine_node(story.ids["node"], "XID 79: a GPU fell off the bus")
    free = operator.list_nodes(doc.NodeFilter(only_free=True, limit=9)).items
    operator.drain_node(free[8].id, "a fan is loud")
    story.at(11, 23, 9, 40)
    wish = doc.ClusterRequest(
        project_id=story.project_ids["dana"], name="all-scans", gpu_count=4_800
    )
    story.clients["dana"].create_waiting_request(doc.CreateWaitingRequest(cluster=wish))
    story.at(NOW.month, NOW.day, NOW.hour, NOW.minute)
    story.ids["cluster"] = story.cluster_ids["train"]


def begin_closing(story: Story) -> str:
    """A launch of Ada's whose planes are closing, some of them closed."""
    ada = story.clients["ada"]
    wish = doc.ClusterRequest(
        project_id=story.project_ids["ada"], name="evaluate", gpu_count=512, storage_bytes=20 * TIB,
        ssh_key_ids=[story.ssh_key_id],
    )  # fmt: skip
    made = ada.create_cluster(wish)
    assert made.operation_id is not None
    story.cluster_ids["evaluate"] = made.id
    while True:
        found = ada.get_operation(made.operation_id)
        closing = next((one for one in found.stages or [] if one.name == "close the planes"), None)
        if closing is not None and 2 * closing.done_count > closing.step_count:
            return made.operation_id
        story.go_on(FINE_STEP_S)


def _end_all(story: Story) -> None:
    for who in TENANTS:
        for found in story.clients[who].list_operations().items:
            story.ended(who, found.id)
