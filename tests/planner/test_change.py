"""Goal: stages lead from before to after, back again, and never run a host half-closed.

Method: hypothesis draws two lives of a cluster (members, spares, storage, slices); stages are
played entry by entry, in every order within a stage that matters, and what devices would hold is
looked at after each. The table of phases is walked and drawn.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.boundary.entries import HostSlice, NetworkPort, PartitionMember
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import ClusterId, FabricId, SiteId, StoragePoolId, TenantId
from gigawatt.planner.change import stages_between
from gigawatt.planner.phases import ENDED, TRANSITIONS, Phase, mermaid, next_phase
from gigawatt.planner.plan import OperationKind

FLEET = hgx_fleet(128)
KEYS = Keys(p_key=5, compute_vni=None, vni=4096, subnet=3, filesystem=1)


def target(nodes, spares, storage_bytes) -> ClusterTarget:
    chosen = sorted(nodes)
    return ClusterTarget(
        ClusterId("clu_1"),
        TenantId("ten_a"),
        "train",
        SiteId("site-a"),
        FabricId("ib0"),
        StoragePoolId("ib0-fs") if storage_bytes else None,
        tuple(
            Member(FLEET.node_id(n), 0xFF, "spare" if n in spares else "member", n) for n in chosen
        ),
        KEYS if storage_bytes else replace(KEYS, filesystem=None),
        storage_bytes,
        "debian-12-gpu",
        (),
        (),
    )


LIVES = st.builds(
    target,
    st.sets(st.integers(0, 7), min_size=1, max_size=6),
    st.sets(st.integers(0, 7), max_size=3),
    st.sampled_from([0, 1 << 30]),
)
MAYBE = st.one_of(st.none(), LIVES)


def held_by(life):
    return {(e.device, e.key): e for e in (render(FLEET, life) if life else ())}


def play(stages, held, look=lambda _held: None):
    held = dict(held)
    for stage in stages:
        for step in stage.steps:
            for entry in step.entries:
                if step.action == "ensure":
                    held[entry.device, entry.key] = entry
                else:
                    held.pop((entry.device, entry.key), None)
            look(held)
    return held


def assert_closed(held):
    """A host that is on has its port and all its NICs in."""
    members = {e.guid for e in held.values() if isinstance(e, PartitionMember)}
    ports = {e.node_id for e in held.values() if isinstance(e, NetworkPort)}
    for host in held.values():
        if isinstance(host, HostSlice) and host.power == "on":
            row = FLEET.node_index(host.node_id)
            first = int(FLEET.first_nic_of_node[row])
            assert host.node_id in ports
            assert {int(guid) for guid in FLEET.nics.guid[first : first + 8]} <= members


@settings(max_examples=150, deadline=None)
@given(MAYBE, MAYBE)
def test_stages_lead_there_and_back_and_no_host_runs_half_closed(one, other):
    before, after = held_by(one), held_by(other)
    forward = stages_between(tuple(before.values()), tuple(after.values()))
    assert play(forward, before, assert_closed) == after
    back = stages_between(tuple(after.values()), tuple(before.values()))
    assert play(back, after, assert_closed) == before
    assert all(stage.steps for stage in (*forward, *back))


@settings(max_examples=60, deadline=None)
@given(MAYBE, MAYBE, st.data())
def test_stages_may_be_left_at_any_step_and_begun_again(one, other, data):
    """A worker that takes over plays from the start; what is done already does no harm."""
    before, after = held_by(one), held_by(other)
    stages = stages_between(tuple(before.values()), tuple(after.values()))
    count = data.draw(st.integers(0, len(stages)))
    assert play(stages, play(stages[:count], before)) == after


@settings(max_examples=60, deadline=None)
@given(LIVES)
def test_nothing_is_done_where_nothing_changes(life):
    entries = render(FLEET, life)
    assert stages_between(entries, entries) == ()


def test_every_phase_is_reached_and_every_pair_leads_to_one():
    reached = {target for _, _, target in TRANSITIONS}
    assert reached == set(Phase)
    pairs = [(source, event) for source, event, _ in TRANSITIONS]
    assert len(set(pairs)) == len(pairs)
    known: set[Phase | None] = {None}
    while more := {t for s, _, t in TRANSITIONS if s in known} - known:
        known |= more
    assert {source for source, _, _ in TRANSITIONS} <= known


def test_an_ended_cluster_goes_nowhere_and_any_other_can_end():
    assert not {source for source, _, _ in TRANSITIONS} & ENDED
    ends: set[Phase | None] = set(ENDED)
    while more := {s for s, _, t in TRANSITIONS if t in ends} - ends:
        ends |= more
    assert ends == {None, *Phase}


@pytest.mark.parametrize("kind", list(OperationKind))
def test_every_kind_can_end_well_get_stuck_and_be_undone_if_it_adds_nodes(kind):
    start = None if kind is OperationKind.LAUNCH else Phase.ACTIVE
    under_way = next_phase(start, kind, "committed")
    assert under_way is not None
    assert next_phase(under_way, kind, "done") is not None
    unwinding = next_phase(under_way, kind, "failed")
    assert (unwinding is not None) is kind.is_reversible
    last = unwinding or under_way
    assert next_phase(last, kind, "stuck") is not None
    assert (next_phase(last, kind, "unwound") is not None) is kind.is_reversible


def test_the_picture_is_the_table():
    lines = mermaid().splitlines()[1:]
    drawn = {tuple(line.strip().replace(": ", " --> ").split(" --> ")) for line in lines}
    table = {(s.value if s else "[*]", t.value, e) for s, e, t in TRANSITIONS}
    assert drawn == table | {(phase.value, "[*]") for phase in ENDED}
    page = Path(__file__).parents[2] / "docs" / "phases.md"
    assert mermaid() in page.read_text(encoding="utf-8")
