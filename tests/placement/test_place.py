"""What a tenant sees of the placer: constraints kept, order, reasons, refusals, alternatives.

Goal: every constraint of a request is kept, and refused by name when it cannot be.
Method: small fleets whose right answer is plain, one test per rule, positive and negative;
hypothesis for what must hold on any fleet.
"""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.errors import InputError, UnknownIdError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import GB200_NVL72_NODE, HGX_H100, hgx_fleet, nvl72_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.ids import NodeId, SiteId, TenantId
from gigawatt.intent.request import ClusterRequest, Level, SpreadRule
from gigawatt.placement.place import place, place_with_alternatives
from gigawatt.placement.result import Placement, Refusal

HGX = hgx_fleet(8 * 32 * 8 * 2)
"""512 nodes: 2 pods of 8 leaf groups of 32 nodes."""
NVL = nvl72_fleet(32)
"""32 racks of 18 nodes: 2 racks a leaf group, 8 leaf groups a pod, 2 pods."""
TWO_SITES = build_fleet(
    "two",
    [
        BlockSpec("site-a", "US", "a", HGX_H100, 64, "a", "ib-a"),
        BlockSpec("site-b", "NO", "b", GB200_NVL72_NODE, 144, "b", "eth-b", nodes_per_rack=18,
                  nodes_per_domain=18, nodes_per_leaf_group=36),
        BlockSpec("site-c", "DE", "c", HGX_H100, 32, "c", "ib-c"),
    ],
)  # fmt: skip


def ask(gpu_count: int, **fields: object) -> ClusterRequest:
    return ClusterRequest(TenantId("ten_1"), "job", gpu_count, **fields)


def all_free(fleet: Fleet) -> np.ndarray:
    return fleet.full_gpu_mask_of_node.copy()


def with_free(fleet: Fleet, free_by_leaf: dict[int, int]) -> np.ndarray:
    """The first so many nodes of each leaf group free, all else busy."""
    mask = np.zeros(len(fleet.nodes), np.uint16)
    for leaf, count in free_by_leaf.items():
        rows = np.flatnonzero(fleet.nodes.leaf_group == leaf)[:count]
        mask[rows] = fleet.full_gpu_mask_of_node[rows]
    return mask


def placed(fleet: Fleet, mask: np.ndarray, request: ClusterRequest, near: tuple = ()) -> Placement:
    answer = place(fleet, mask, request, near)
    assert isinstance(answer, Placement), answer
    return answer


def refused(fleet: Fleet, mask: np.ndarray, request: ClusterRequest) -> Refusal:
    answer = place(fleet, mask, request)
    assert isinstance(answer, Refusal), answer
    assert answer.reasons
    return answer


def nodes_of(answer: Placement) -> list[int]:
    return [node for node, _ in answer.members]


def per(column: np.ndarray, answer: Placement) -> Counter:
    return Counter(column[[node for node, _ in (*answer.members, *answer.spares)]].tolist())


# --- The search --------------------------------------------------------------------------------


def test_an_empty_fleet_gives_the_arithmetic_minimum() -> None:
    answer = placed(HGX, all_free(HGX), ask(8 * 300))
    assert (answer.spread.pod_count, answer.spread.leaf_group_count) == (2, 10)
    assert placed(HGX, all_free(HGX), ask(8 * 40)).spread.leaf_group_count == 2


def test_fewer_pods_win_over_fewer_leaf_groups() -> None:
    # 20 + 20 in two pods would be two leaf groups; one pod needs four of ten.
    mask = with_free(HGX, {0: 20, 8: 20, 9: 7, 10: 7, 11: 7})
    answer = placed(HGX, mask, ask(8 * 40))
    assert (answer.spread.pod_count, answer.spread.leaf_group_count) == (1, 4)


def test_the_fullest_pod_is_not_always_the_one_with_fewest_leaf_groups() -> None:
    mask = with_free(HGX, dict.fromkeys(range(8), 12) | dict.fromkeys(range(8, 11), 30))
    answer = placed(HGX, mask, ask(8 * 60))
    assert per(HGX.nodes.leaf_group, answer) == {8: 30, 9: 30}
    assert answer.reasons == (
        "2 leaf groups: with one less in as many pods, at most 30 of 60 nodes fit",
    )


def test_fewer_domains_win_over_a_fuller_leaf_group() -> None:
    # Leaf group 0 has 10 + 10 nodes free, leaf group 1 has 18 in one domain.
    mask = np.zeros(len(NVL.nodes), np.uint16)
    for domain, count in ((0, 10), (1, 10), (2, 18)):
        mask[np.flatnonzero(NVL.nodes.nvlink_domain == domain)[:count]] = 0b1111
    answer = placed(NVL, mask, ask(4 * 16))
    assert answer.spread.nvlink_domain_count == 1
    assert answer.reasons == ("it fits in one leaf group",)


def test_slurm_style_greed_is_beaten_where_one_pod_suffices() -> None:
    # The fullest leaf group is in the wrong pod: best-fit would start there and spill.
    mask = with_free(HGX, {0: 32, 1: 1, 8: 16, 9: 16, 10: 16})
    assert placed(HGX, mask, ask(8 * 48)).spread.pod_count == 1


def test_the_tightest_leaf_group_is_used_and_whole_ones_stay_whole() -> None:
    mask = with_free(HGX, {0: 32, 1: 12, 2: 9, 3: 20})
    assert per(HGX.nodes.leaf_group, placed(HGX, mask, ask(8 * 8))) == {2: 8}
    mask = with_free(HGX, {0: 32, 1: 32, 2: 20, 3: 20, 4: 8})
    assert per(HGX.nodes.leaf_group, placed(HGX, mask, ask(8 * 40))) == {2: 20, 3: 20}


def test_the_tightest_pod_is_used() -> None:
    mask = with_free(HGX, dict.fromkeys(range(8), 32) | dict.fromkeys(range(8, 12), 32))
    answer = placed(HGX, mask, ask(8 * 32 * 3))
    assert per(HGX.pod_of_node, answer) == {1: 96}


def test_members_are_ranked_group_by_group() -> None:
    mask = all_free(NVL)
    mask[::3] = 0
    answer = placed(NVL, mask, ask(4 * 200))
    for column in (NVL.pod_of_node, NVL.nodes.leaf_group, NVL.nodes.nvlink_domain):
        sequence = column[nodes_of(answer)].tolist()
        borders = sum(a != b for a, b in pairwise(sequence))
        assert borders == len(set(sequence)) - 1


def test_near_groups_are_filled_first() -> None:
    mask = all_free(HGX)
    near = tuple(np.flatnonzero(HGX.nodes.leaf_group == 13)[:4].tolist())
    mask[list(near)] = 0
    answer = placed(HGX, mask, ask(8 * 30), near)
    groups = per(HGX.nodes.leaf_group, answer)
    assert groups[13] == 28
    assert len(groups) == 2
    assert set(per(HGX.pod_of_node, answer)) == {1}


def test_a_cluster_never_spans_fabrics() -> None:
    answer = refused(TWO_SITES, all_free(TWO_SITES), ask(8 * 80, gpu_type="h100"))
    assert answer.is_impossible
    assert any(reason.startswith("fabric: ") and "64 (ib-a)" in reason for reason in answer.reasons)


def test_the_cheapest_type_is_used_when_none_is_named() -> None:
    answer = placed(TWO_SITES, all_free(TWO_SITES), ask(64))
    assert answer.gpu_type == "h100"
    assert "cheapest" in answer.reasons[0]
    assert answer.price_micro_usd_per_hour == 64 * HGX_H100.price_micro_usd_per_gpu_hour
    assert placed(TWO_SITES, all_free(TWO_SITES), ask(8 * 65)).gpu_type == "gb200"


# --- One test per constraint -------------------------------------------------------------------


def test_segments_lie_inside_a_domain() -> None:
    mask = all_free(NVL)
    mask[NVL.nodes.nvlink_domain % 2 == 0] = 0
    answer = placed(NVL, mask, ask(4 * 64, segment_node_count=16))
    assert set(per(NVL.nodes.nvlink_domain, answer).values()) == {16}
    by_rank = NVL.nodes.nvlink_domain[nodes_of(answer)].reshape(4, 16)
    assert (by_rank == by_rank[:, :1]).all()


def test_segments_that_no_domain_holds_are_refused() -> None:
    mask = all_free(NVL)
    mask[np.arange(len(mask)) % 18 < 3] = 0
    answer = refused(NVL, mask, ask(4 * 16, segment_node_count=16))
    assert any("segments of 16 nodes" in reason for reason in answer.reasons)
    assert not answer.is_impossible
    assert any("without segments" in text for text in answer.would_fit)
    assert refused(HGX, all_free(HGX), ask(16, segment_node_count=2)).is_impossible


def test_whole_domains_are_taken_whole() -> None:
    mask = all_free(NVL)
    mask[0] = 0
    answer = placed(NVL, mask, ask(72 * 3, whole_domains=True))
    counts = per(NVL.nodes.nvlink_domain, answer)
    assert set(counts.values()) == {18}
    assert 0 not in counts
    assert not isinstance(place(NVL, mask, ask(4 * 20, whole_domains=True)), Placement)


def test_whole_domains_are_refused_when_each_has_a_busy_node() -> None:
    mask = all_free(NVL)
    mask[::18] = 0
    answer = refused(NVL, mask, ask(72, whole_domains=True))
    assert any("whole NVLink domain" in reason for reason in answer.reasons)


@pytest.mark.parametrize(
    ("level", "column"),
    [
        (Level.NVLINK_DOMAIN, NVL.nodes.nvlink_domain),
        (Level.LEAF_GROUP, NVL.nodes.leaf_group),
        (Level.POD, NVL.pod_of_node),
    ],
)
def test_keep_together_is_kept_or_refused(level: Level, column: np.ndarray) -> None:
    size = int(np.bincount(column).max())
    mask = all_free(NVL)
    answer = placed(NVL, mask, ask(4 * (size - 1), keep_together=level, spare_count=1))
    assert len(per(column, answer)) == 1
    first = np.unique(column, return_index=True)[1]
    mask[first] = 0
    no = refused(NVL, mask, ask(4 * size, keep_together=level))
    assert not no.is_impossible
    assert f"{4 * (size - 1):,} gb200 GPUs under the same constraints" in no.would_fit
    assert any("without keeping it in one" in text for text in no.would_fit)
    assert refused(NVL, mask, ask(4 * (size + 1), keep_together=level)).is_impossible


def test_keep_together_on_a_node() -> None:
    assert len(placed(HGX, all_free(HGX), ask(8, keep_together=Level.NODE)).members) == 1
    assert refused(HGX, all_free(HGX), ask(16, keep_together=Level.NODE)).is_impossible


@pytest.mark.parametrize(
    ("per_name", "column"),
    [
        ("rack", HGX.nodes.rack),
        ("leaf_group", HGX.nodes.leaf_group),
        ("pod", HGX.pod_of_node),
    ],
)
def test_spread_caps_bind_members_and_spares(per_name: str, column: np.ndarray) -> None:
    groups = len(np.unique(column))
    rule = (SpreadRule(per_name, 2), SpreadRule(per_name, 3))
    answer = placed(HGX, all_free(HGX), ask(8 * (2 * groups - 1), spread=rule, spare_count=1))
    assert max(per(column, answer).values()) == 2
    no = refused(HGX, all_free(HGX), ask(8 * 2 * groups, spread=rule, spare_count=1))
    assert no.is_impossible
    assert any("at most 2 nodes" in reason for reason in no.reasons)
    assert "without spares" in " ".join(no.would_fit)


def test_sites_and_countries_filter() -> None:
    mask = all_free(TWO_SITES)
    assert placed(TWO_SITES, mask, ask(8, site_ids=(SiteId("site-c"),))).fabric == 2
    assert placed(TWO_SITES, mask, ask(8, countries=("DE",))).fabric == 2
    no = refused(TWO_SITES, mask, ask(8, gpu_type="h100", countries=("NO",)))
    assert any("only in NO" in reason for reason in no.reasons)
    assert any("at any site" in text for text in no.would_fit)


def test_excluded_and_partly_used_nodes_are_never_members() -> None:
    fleet = hgx_fleet(8 * 4)
    mask = all_free(fleet)
    excluded = frozenset({fleet.node_id(0)})
    assert 0 not in nodes_of(placed(fleet, mask, ask(24, excluded_node_ids=excluded)))
    assert "1 node excluded" in refused(fleet, mask, ask(32, excluded_node_ids=excluded)).reasons[0]
    mask[1] = 0b0111_1111
    assert nodes_of(placed(fleet, mask, ask(24))) == [0, 2, 3]


def test_spares_stand_in_used_leaf_groups_and_cost_no_spread() -> None:
    # An unused leaf group of the same pod is emptier, but would be one more group.
    mask = with_free(HGX, {0: 20, 1: 32, 2: 32, 8: 24})
    answer = placed(HGX, mask, ask(8 * 40, spare_count=4))
    assert answer.spread.leaf_group_count == 2
    used = {int(HGX.nodes.leaf_group[node]) for node in nodes_of(answer)}
    assert {int(HGX.nodes.leaf_group[node]) for node, _ in answer.spares} <= used
    assert not set(nodes_of(answer)) & {node for node, _ in answer.spares}
    assert answer.price_micro_usd_per_hour == 44 * 8 * HGX_H100.price_micro_usd_per_gpu_hour


def test_spares_that_do_not_fit_refuse_the_request() -> None:
    fleet = hgx_fleet(8 * 4)
    answer = refused(fleet, all_free(fleet), ask(32, spare_count=1))
    assert "1 spare included" in answer.reasons[0]
    assert "32 h100 GPUs without spares" in answer.would_fit


# --- Wrong requests ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ask(12), "ask for 8 or 16"),
        (ask(3), "1, 2, 4, 8"),
        (ask(8 * 3, segment_node_count=2), "ask for 16 or 32"),
        (ask(4, whole_domains=True), "part of one"),
        (ask(8, gpu_type="tpu"), "has no 'tpu'"),
        (ask(0), "gpu_count is 0"),
    ],
)
def test_a_wrong_request_says_what_would_be_right(request_: ClusterRequest, words: str) -> None:
    with pytest.raises(InputError, match=words):
        place(HGX, all_free(HGX), request_)


def test_a_wrong_mask_site_or_node_is_named() -> None:
    with pytest.raises(InputError, match=r"wanted \(512,\)"):
        place(HGX, all_free(HGX)[:5], ask(8))
    with pytest.raises(UnknownIdError, match="no site 'moon'"):
        place(HGX, all_free(HGX), ask(8, site_ids=(SiteId("moon"),)))
    with pytest.raises(UnknownIdError, match="nowhere"):
        place(HGX, all_free(HGX), ask(8, excluded_node_ids=frozenset({NodeId("nowhere")})))


def test_a_cap_per_rack_needs_racks_that_nest_with_domains() -> None:
    rack = np.roll(NVL.nodes.rack, 9)
    fleet = replace(NVL, nodes=replace(NVL.nodes, rack=rack))
    capped = ask(8, spread=(SpreadRule("rack", 2),))
    with pytest.raises(InputError, match="per rack needs racks"):
        place(fleet, all_free(fleet), capped)


# --- Reports -----------------------------------------------------------------------------------


def test_reasons_carry_the_evidence() -> None:
    mask = with_free(HGX, dict.fromkeys(range(16), 10))
    answer = placed(HGX, mask, ask(8 * 100))
    assert answer.reasons == (
        "2 pods: with one less, 80 of 100 nodes fit",
        "10 leaf groups: with one less in as many pods, at most 90 of 100 nodes fit",
    )


def test_a_refusal_names_the_best_group_of_each_level() -> None:
    mask = with_free(HGX, {3: 5, 9: 7})
    answer = refused(HGX, mask, ask(8 * 8, keep_together=Level.LEAF_GROUP))
    assert answer.reasons == (
        "fleet: 12 of 512 hgx-h100 nodes are wholly free and allowed, 8 are wanted",
        "pod: no pod has room for 8 nodes, the best has 7 (ib0-pod001)",
        "leaf group: no leaf group has room for 8 nodes, the best has 7 (h-su009)",
    )
    assert answer.would_fit == (
        "56 h100 GPUs under the same constraints",
        "64 h100 GPUs without keeping it in one leaf group",
    )


def test_alternatives_are_real_and_cheapest_first() -> None:
    answer = place_with_alternatives(TWO_SITES, all_free(TWO_SITES), ask(8 * 32, gpu_type="h100"))
    assert isinstance(answer, Placement)
    assert 0 < len(answer.alternatives) <= 4
    prices = [way.price_micro_usd_per_hour for way in answer.alternatives]
    assert prices == sorted(prices)
    assert {way.gpu_type for way in answer.alternatives} == {"h100", "gb200"}
    same = placed(TWO_SITES, all_free(TWO_SITES), ask(8 * 32, gpu_type="gb200"))
    assert same.spread in {way.spread for way in answer.alternatives}
    spanning = place_with_alternatives(HGX, all_free(HGX), ask(8 * 300))
    assert isinstance(spanning, Placement)
    assert spanning.alternatives[0].sentence.startswith("256 h100 GPUs in one leaf group")
    assert spanning.alternatives[1].sentence.startswith("2,048 h100 GPUs in one pod")


# --- Properties --------------------------------------------------------------------------------

PROPERTY_FLEETS = (hgx_fleet(8 * 70), nvl72_fleet(7), TWO_SITES)


@settings(max_examples=60, deadline=None)
@given(
    fleet=st.sampled_from(PROPERTY_FLEETS),
    seed=st.integers(0, 2**31),
    busy=st.floats(0, 0.95),
    wanted=st.integers(1, 60),
    spare_count=st.integers(0, 3),
    level=st.sampled_from(list(Level)),
)
def test_what_is_placed_is_free_distinct_together_and_repeatable(
    fleet: Fleet, seed: int, busy: float, wanted: int, spare_count: int, level: Level
) -> None:
    rng = np.random.default_rng(seed)
    mask = np.where(rng.random(len(fleet.nodes)) < busy, 0, all_free(fleet)).astype(np.uint16)
    request = ask(8 * wanted, spare_count=spare_count, keep_together=level)
    answer = place(fleet, mask, request)
    assert answer == place(fleet, mask.copy(), request)
    if isinstance(answer, Refusal):
        return
    nodes = [node for node, _ in (*answer.members, *answer.spares)]
    assert len(set(nodes)) == len(nodes)
    assert all(mask[node] == full == gpus for node, gpus in (*answer.members, *answer.spares)
               for full in [int(fleet.full_gpu_mask_of_node[node])])  # fmt: skip
    assert sum(gpus.bit_count() for _, gpus in answer.members) == request.gpu_count
    assert {fleet.node_type(node).gpu_type for node in nodes} == {answer.gpu_type}
    assert set(fleet.fabric_of_node[nodes].tolist()) == {answer.fabric}
    columns = {
        Level.NODE: np.arange(len(fleet.nodes)),
        Level.NVLINK_DOMAIN: fleet.nodes.nvlink_domain,
        Level.LEAF_GROUP: fleet.nodes.leaf_group,
        Level.POD: fleet.pod_of_node,
        Level.FABRIC: fleet.fabric_of_node,
    }
    assert len(set(columns[level][nodes].tolist())) == 1


@settings(max_examples=80, deadline=None)
@given(
    fleet=st.sampled_from(PROPERTY_FLEETS[:2]),
    seed=st.integers(0, 2**31),
    busy=st.floats(0.2, 0.95),
    wanted=st.integers(1, 20),
    fields=st.fixed_dictionaries(
        {
            "keep_together": st.sampled_from(list(Level)[1:]),
            "segment_node_count": st.sampled_from([None, 2, 3]),
            "spare_count": st.integers(0, 2),
            "spread": st.sampled_from([(), (SpreadRule("rack", 3),), (SpreadRule("pod", 20),)]),
        }
    ),
)
def test_what_would_fit_does_fit_and_no_unit_more(
    fleet: Fleet, seed: int, busy: float, wanted: int, fields: dict
) -> None:
    rng = np.random.default_rng(seed)
    mask = np.where(rng.random(len(fleet.nodes)) < busy, 0, all_free(fleet)).astype(np.uint16)
    unit = (fields["segment_node_count"] or 1) * fleet.node_types[0].gpu_count
    request = ask(unit * wanted, **fields)
    answer = place(fleet, mask, request)
    if isinstance(answer, Placement):
        return
    same = [text for text in answer.would_fit if text.endswith("under the same constraints")]
    gpus = int(same[0].split()[0].replace(",", "")) if same else 0
    if gpus:
        assert isinstance(place(fleet, mask, replace(request, gpu_count=gpus)), Placement)
    if gpus >= unit or not same:
        more = replace(request, gpu_count=gpus + unit)
        assert isinstance(place(fleet, mask, more), Refusal)
