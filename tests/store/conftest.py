"""Small clusters on a small fleet, and stores on both engines, for the tests of this folder."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from gigawatt.boundary.entries import (
    BmcAccount,
    Entry,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import ClusterId, FabricId, NodeId, OperationId, PlanId, SiteId, TenantId
from gigawatt.interfaces.store import OperationRecord
from gigawatt.placement.result import Spread
from gigawatt.planner.plan import OperationKind, Plan, PlanReport, Stage, make_step
from gigawatt.store.address import Place
from gigawatt.store.open import open_store_at
from gigawatt.store.sqlite import open_store
from gigawatt.store.store import SqlStore
from postgres_server import Server, name_in, postgres_server


@dataclass(frozen=True)
class Build:
    """Makes targets and plans; ``nodes`` are the fleet's node ids."""

    nodes: tuple[NodeId, ...]

    def target(
        self,
        name: str = "a",
        nodes: Sequence[int] = (0, 1),
        *,
        number: int = 1,
        tenant: str = "ten_x",
        mask: int = 0xFF,
    ) -> ClusterTarget:
        """Cluster ``clu_NAME`` on the nodes of these numbers, with keys made from ``number``."""
        members = tuple(
            Member(self.nodes[node], mask, "member", index) for index, node in enumerate(nodes)
        )
        return ClusterTarget(
            cluster_id=ClusterId(f"clu_{name}"),
            tenant_id=TenantId(tenant),
            name=name,
            site_id=SiteId("site-a"),
            fabric_id=FabricId("ib0"),
            pool_id=None,
            members=members,
            keys=Keys(
                p_key=number, compute_vni=None, vni=4_096 + number, subnet=number, filesystem=None
            ),
            storage_bytes=0,
            image="debian-12-gpu",
            ssh_public_keys=(),
            egress_cidrs=(),
        )

    def with_nodes(self, target: ClusterTarget, nodes: Sequence[int]) -> ClusterTarget:
        """The same cluster on other nodes."""
        return replace(target, members=self.target(target.name, nodes).members)

    def entries(self, target: ClusterTarget, *, nics: bool = False) -> tuple[Entry, ...]:
        """A gateway, and on every node a port, an account and a host; with NICs if wanted."""
        keys = target.keys
        made: list[Entry] = [Gateway(target.site_id, keys.vni, "10.0.16.0/20", ())]
        for m in target.members:
            made += [
                NetworkPort(m.node_id, 0, keys.vni, f"10.0.16.{10 + m.host_index}/20"),
                BmcAccount(m.node_id, target.name, f"bmc/{m.node_id}"),
                HostSlice(m.node_id, m.gpu_mask, False, "host", target.image, (), "off"),
            ]
            if nics:
                guid = 1 + self.nodes.index(m.node_id)
                made.append(PartitionMember(target.fabric_id, keys.p_key or 0, guid, "full"))
        return tuple(made)

    def plan(
        self,
        kind: OperationKind,
        before: ClusterTarget | None,
        after: ClusterTarget | None,
        generation: int,
        *,
        quarantined: tuple[NodeId, ...] = (),
        expires_s: float = 1e9,
    ) -> Plan:
        """A plan of one stage; its steps ensure every entry of ``after``."""
        target = after or before
        assert target is not None
        steps = tuple(
            make_step("ensure", entry.plane, entry.device, [entry], None)
            for entry in (() if after is None else self.entries(after, nics=True))
        )
        return Plan(
            plan_id=PlanId(f"pln_{generation}"),
            kind=kind,
            cluster_id=target.cluster_id,
            tenant_id=target.tenant_id,
            parent_generation=generation,
            before=before,
            after=after,
            stages=(Stage("close the planes", steps, verify=True),),
            quarantined=quarantined,
            report=PlanReport("h100", 16, Spread(1, 1, 1, 2, 1), (), (), 1, 1.0),
            created_s=0.0,
            expires_s=expires_s,
        )

    def commit(
        self,
        store: SqlStore,
        kind: OperationKind,
        before: ClusterTarget | None,
        after: ClusterTarget | None,
        *,
        now_s: float = 100.0,
        quarantined: tuple[NodeId, ...] = (),
    ) -> OperationRecord:
        """Commit a plan made from what the store holds now; the operation is op_GENERATION."""
        generation = store.snapshot(now_s).generation
        plan = self.plan(kind, before, after, generation, quarantined=quarantined)
        return store.commit(plan, OperationId(f"op_{generation}"), now_s)

    def launched(self, store: SqlStore, target: ClusterTarget, now_s: float = 100.0) -> None:
        """Launch a cluster to the end."""
        operation = self.commit(store, OperationKind.LAUNCH, None, target, now_s=now_s)
        store.finish(operation, "done", {}, now_s)


@pytest.fixture(scope="session")
def build() -> Build:
    """The builder, on 32 nodes of 8 GPUs; it is immutable."""
    return Build(tuple(NodeId(name) for name in hgx_fleet(256).nodes.ids))


class SqliteEngine:
    """Makes places for stores that are SQLite files.

    Attributes:
        life_count: random lives that a quick run may try.
        kill_count: workers that a quick run kills.
    """

    life_count = 15
    kill_count = 10

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def new(self) -> Place:
        return self._folder / f"store{next(self._numbers)}.db"

    def copy(self, place: Place) -> Place:
        made = self.new()
        shutil.copyfile(place, made)
        return made

    def drop(self, place: Place) -> None:
        Path(place).unlink(missing_ok=True)

    def execute(self, place: Place, text: str) -> None:
        """Run SQL that the references between tables do not stop."""
        with closing(sqlite3.connect(place)) as raw:
            raw.executescript(text)


class PostgresEngine:
    """Makes places for stores that are PostgreSQL databases; the same as ``SqliteEngine``."""

    life_count = 4
    kill_count = 4

    def __init__(self, server: Server) -> None:
        self._server = server
        self.new = server.new
        self.copy = server.clone
        self.drop = server.drop

    def execute(self, place: Place, text: str) -> None:
        """Run SQL that the references between tables do not stop."""
        self._server.execute(name_in(str(place)), f"SET session_replication_role = replica; {text}")


Engine = SqliteEngine | PostgresEngine
__all__ = ["postgres_server"]  # a fixture that pytest finds here


@pytest.fixture(
    scope="session", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Each engine in turn: all tests that ask for it run on both."""
    if request.param == "sqlite":
        return SqliteEngine(tmp_path_factory.mktemp("stores"))
    return PostgresEngine(request.getfixturevalue("postgres_server"))


@pytest.fixture
def place(engine: Engine) -> Iterator[Place]:
    """A place where nothing is yet."""
    made = engine.new()
    yield made
    engine.drop(made)


@pytest.fixture
def store(engine: Engine) -> Iterator[SqlStore]:
    """An empty store: in memory, and in PostgreSQL."""
    if isinstance(engine, SqliteEngine):
        with closing(open_store(None)) as made:
            yield made
        return
    url = engine.new()
    with closing(open_store_at(url)) as made:
        yield made
    engine.drop(url)
