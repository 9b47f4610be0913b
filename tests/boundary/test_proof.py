"""Goal: the proof blesses nothing that is broken, and says by rule and by name what is.

Method: one site with every make of cluster on it (whole nodes with a spare, guests that share a
node, two clusters of one tenant, an Ethernet fabric, file systems that stand alone) is proven;
then one fault is planted for every rule, in the targets' entries and again in what devices say,
and must be found by exactly the rules listed. A meta test demands a fault for every rule of the
table.
"""

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from proof_faults import FAULTS, Fault
from proof_scene import (
    A2,
    FA,
    FLEET,
    POOL,
    SCENE,
    SCOPES,
    SITE,
    A,
    B,
    G,
    H,
    guid,
    member,
    mount,
    node_id,
    plus,
    retarget,
)

from gigawatt.boundary.entries import DEFAULT_P_KEY, PartitionMember
from gigawatt.boundary.keys import keys_of, take_keys
from gigawatt.boundary.plane import PLANES
from gigawatt.boundary.proof import prove
from gigawatt.boundary.render import render
from gigawatt.boundary.rules import RULES
from gigawatt.boundary.target import Member
from gigawatt.errors import UnknownIdError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import ClusterId, FabricId, NodeId, TenantId


def _name(planted: Fault) -> str:
    return f"{planted.rule}-{planted.plane.value}"


@pytest.mark.parametrize("scope", SCOPES)
def test_a_sound_site_is_proven(scope):
    proof = SCENE.prove(scope)
    assert proof.violations == ()
    assert (proof.is_isolated, proof.is_connected, proof.is_proven) == (True, True, True)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("planted", FAULTS, ids=_name)
def test_a_planted_fault_is_caught_by_its_rule_and_named(planted, scope):
    proof = planted.plant(SCENE).prove(scope)
    found = {violation.rule for violation in proof.violations}
    if scope not in planted.scopes:
        assert found <= planted.also
        return
    assert found == {planted.rule} | planted.also
    wanted = {target.cluster_id for target in planted.clusters}
    named = [
        violation
        for violation in proof.violations
        if violation.rule == planted.rule
        and violation.plane is planted.plane
        and set(violation.cluster_ids) == wanted
    ]
    assert len(named) == 1, proof.violations
    assert set(planted.nodes) <= set(named[0].node_ids)
    assert all(cluster_id in named[0].sentence for cluster_id in wanted)
    assert not proof.is_proven


def test_every_rule_has_a_planted_fault_and_an_attack():
    planted = {(fault.rule, fault.plane) for fault in FAULTS}
    assert planted == {(rule.name, rule.plane) for rule in RULES}
    assert all(rule.attack.endswith(".") for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.plane.value}")
def test_what_a_rule_breaks_is_what_the_proof_denies(rule):
    planted = next(f for f in FAULTS if (f.rule, f.plane) == (rule.name, rule.plane))
    proof = planted.plant(SCENE).prove(planted.scopes[0])
    assert (proof.is_isolated if rule.breaks == "isolation" else proof.is_connected) is False


def test_counts_say_how_many_pairs_were_decided():
    proof = SCENE.prove("targets")
    assert proof.entry_count == len(SCENE.entries)
    assert proof.cluster_pair_count == dict.fromkeys(PLANES, 9 * 8 // 2)
    assert proof.tenant_pair_count == dict.fromkeys(PLANES, 6 * 5 // 2)
    assert proof.node_pair_count == {
        t.cluster_id: len(t.members) * (len(t.members) - 1) // 2 for t in SCENE.targets
    }
    assert proof.node_pair_count[A.cluster_id] == 3


def test_two_clusters_of_one_tenant_are_fenced_from_each_other():
    proof = plus(member(A.keys.p_key, guid(3)))(SCENE).prove("read_back")
    shared = next(v for v in proof.violations if v.rule == "shared_partition")
    assert shared.cluster_ids == (A.cluster_id, A2.cluster_id)
    assert shared.tenant_ids == (TenantId("ten_a"),)


def test_a_fabric_that_failed_open_names_everybody_on_it():
    opened = tuple(
        replace(e, p_key=DEFAULT_P_KEY) if isinstance(e, PartitionMember) else e
        for e in SCENE.entries
    )
    proof = replace(SCENE, entries=opened).prove("read_back")
    full = [v for v in proof.violations if v.rule == "default_full"]
    assert {v.cluster_ids for v in full} == {(t.cluster_id,) for t in (A, A2, B, G, H)}
    assert next(v for v in full if v.cluster_ids == (A.cluster_id,)).finding_count == 24


def test_what_is_being_removed_from_a_free_node_is_excused_until_someone_gets_the_node():
    """A shrink: node 5 leaves B, its entries are under tombstones, then A gets the node."""
    left = replace(B, members=B.members[:1])
    leaving = [e for e in render(FLEET, B) if e not in set(render(FLEET, left))]
    tombstones = frozenset((e.device, e.key) for e in leaving)
    targets = tuple(left if t == B else t for t in SCENE.targets)
    during = replace(SCENE, targets=targets, buried=tombstones)
    assert during.prove("read_back").is_proven
    assert not replace(during, buried=frozenset()).prove("read_back").is_isolated

    grown = replace(A, members=(*A.members, Member(node_id(5), 0xFF, "member", 3)))
    too_early = replace(during, targets=tuple(grown if t == A else t for t in targets))
    rules = {v.rule for v in too_early.prove("read_back").violations if v.breaks == "isolation"}
    assert {"shared_partition", "shared_network", "foreign_bmc_route", "planted_account"} <= rules
    planned = replace(
        too_early, entries=tuple(e for t in too_early.targets for e in render(FLEET, t))
    )
    assert {v.rule for v in planned.prove("targets").violations} == {"reused_entry"}


def test_what_a_released_cluster_left_on_a_node_that_was_handed_on_is_a_leak():
    """A release: B is gone but still on its devices, under tombstones, and A gets its node 4."""
    left_over = render(FLEET, B)
    grown = replace(A, members=(*A.members, Member(node_id(4), 0xFF, "member", 3)))
    others = tuple(t for t in SCENE.targets if t not in (A, B))
    tombstones = frozenset((e.device, e.key) for e in left_over)
    gone = replace(SCENE, targets=(A, *others), buried=tombstones)
    assert gone.prove("read_back").is_proven
    proof = replace(gone, targets=(grown, *others)).prove("read_back")
    leaks = {v.rule for v in proof.violations if v.breaks == "isolation"}
    assert {
        "fabric_stranger",
        "in_band_stranger",
        "out_of_band_stranger",
        "planted_account",
        "altered_host",
    } <= leaks
    assert {v.node_ids for v in proof.violations if v.breaks == "isolation"} == {(node_id(4),)}


def test_a_cluster_that_is_off_and_not_closed_yet_is_isolated_but_not_connected():
    entries = tuple(e for t in SCENE.targets if t != B for e in render(FLEET, t))
    proof = replace(SCENE, entries=entries).prove("read_back")
    assert proof.is_isolated
    assert not proof.is_connected
    assert {v.cluster_ids for v in proof.violations} == {(B.cluster_id,)}
    assert proof.concerning(A.cluster_id) == ()
    assert len(proof.concerning(B.cluster_id)) == len(proof.violations)


def test_two_clusters_of_a_tenant_may_mount_one_file_system():
    shared = retarget(A2, mounts=(mount(FA),))(SCENE)
    for scope in SCOPES:
        assert shared.prove(scope).is_proven


def test_a_file_system_without_a_holder_is_a_stranger_with_all_that_mount_it():
    orphaned = replace(SCENE, targets=tuple(t for t in SCENE.targets if t != FA))
    rules = {violation.rule for violation in orphaned.prove("read_back").violations}
    assert rules == {"storage_stranger", "unknown_export", "foreign_mount"}


def test_a_target_on_an_unknown_node_is_refused():
    stray = replace(A, members=(Member(NodeId("nowhere"), 0xFF, "member", 0),))
    with pytest.raises(UnknownIdError, match="nowhere"):
        prove(FLEET, [stray], ())


def test_one_planted_port_in_a_full_fleet_of_ten_thousand_gpus_is_found():
    fleet, taken, targets = hgx_fleet(10_000), defaultdict(set), []
    edges = [number * len(fleet.nodes) // 100 for number in range(101)]
    for number, (first, last) in enumerate(pairwise(edges)):
        keys = take_keys(
            taken, fabric_id=FabricId("ib0"), is_infiniband=True, site_id=SITE, pool_id=POOL
        )
        target = replace(
            A,
            cluster_id=ClusterId(f"clu_{number}"),
            tenant_id=TenantId(f"ten_{number}"),
            members=tuple(
                Member(fleet.node_id(node), 0xFF, "member", node - first)
                for node in range(first, last)
            ),
            keys=keys,
            mounts=(),
        )
        for pool_id, key in keys_of(target):
            taken[pool_id].add(key)
        targets.append(target)
    entries = [entry for target in targets for entry in render(fleet, target)]
    proof = prove(fleet, targets, entries)
    assert proof.is_proven
    assert proof.tenant_pair_count == dict.fromkeys(PLANES, 100 * 99 // 2)
    planted = member(targets[41].keys.p_key, int(fleet.nics.guid[-1]))
    found = prove(fleet, targets, [*entries, planted], scope="read_back")
    assert {(v.rule, v.cluster_ids) for v in found.violations} == {
        ("shared_partition", ("clu_41", "clu_99")),
        ("two_partitions", ("clu_99", "clu_41")),
    }
