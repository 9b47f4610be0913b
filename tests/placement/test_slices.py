"""Slices of a node: aligned, best fit, and never in the way of whole nodes longer than needed.

Goal: guests below one node leave as many whole nodes and large aligned blocks as best fit can.
Method: states of one node by hand; random sequences of place and free by hypothesis.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.model import Fleet, Nodes
from gigawatt.fleet.slices import aligned_masks
from gigawatt.ids import TenantId
from gigawatt.intent.request import ClusterRequest, Level, SpreadRule
from gigawatt.placement.guest import best_slices
from gigawatt.placement.place import place
from gigawatt.placement.result import Placement, Refusal

FLEET = hgx_fleet(8 * 40)
"""40 nodes: leaf groups of 32 and 8."""


def ask(gpu_count: int, **fields: object) -> ClusterRequest:
    return ClusterRequest(TenantId("ten_1"), "guest", gpu_count, **fields)


def free(**states: int) -> np.ndarray:
    mask = np.zeros(len(FLEET.nodes), np.uint16)
    for name, state in states.items():
        mask[int(name[1:])] = state
    return mask


def put(mask: np.ndarray, request: ClusterRequest, near: tuple[int, ...] = ()) -> tuple[int, int]:
    answer = place(FLEET, mask, request, near)
    assert isinstance(answer, Placement)
    return answer.members[0]


def test_the_smallest_block_that_holds_the_slice_is_used() -> None:
    mask = free(n0=0xFF, n1=0xF0, n2=0b1100_0000, n3=0b0001_0000)
    assert put(mask, ask(1)) == (3, 0b0001_0000)
    assert put(mask, ask(2)) == (2, 0b1100_0000)
    assert put(mask, ask(4)) == (1, 0xF0)
    assert put(free(n0=0xFF, n2=0b0001_1110), ask(2)) == (2, 0b0000_1100)


def test_free_gpus_that_are_not_aligned_do_not_count() -> None:
    answer = place(FLEET, free(n0=0b0111_1110), ask(4))
    assert isinstance(answer, Refusal)
    assert not answer.is_impossible
    assert "2 h100 GPUs under the same constraints" in answer.would_fit


def test_a_whole_node_is_opened_in_the_most_broken_leaf_group() -> None:
    mask = FLEET.full_gpu_mask_of_node.copy()
    assert put(mask, ask(2))[0] == 32
    mask[:28] = 0
    assert put(mask, ask(2))[0] == 28


def test_near_leaf_groups_come_first() -> None:
    mask = FLEET.full_gpu_mask_of_node.copy()
    mask[3] = 0
    assert put(mask, ask(4), near=(3,))[0] == 0


def test_bare_metal_is_given_whole_or_not_at_all() -> None:
    metal = replace(FLEET.node_types[0], name="metal", is_bare_metal=True)
    fleet = replace(FLEET, node_types=(*FLEET.node_types, metal), nodes=_typed(FLEET, 1, 30))
    mask = fleet.full_gpu_mask_of_node
    for size in (1, 2, 4):
        answer = place(fleet, mask, ask(size))
        assert isinstance(answer, Placement)
        assert fleet.node_type(answer.members[0][0]).name != "metal"
    only_metal = replace(FLEET, node_types=(metal,))
    with pytest.raises(InputError, match="metal offers 8 GPUs of one node"):
        place(only_metal, only_metal.full_gpu_mask_of_node, ask(4))
    assert isinstance(place(only_metal, only_metal.full_gpu_mask_of_node, ask(16)), Placement)


def _typed(fleet: Fleet, node_type: int, count: int) -> Nodes:
    """The nodes of a fleet, the first ``count`` of another type."""
    return replace(fleet.nodes, type=np.where(np.arange(len(fleet.nodes)) < count, node_type, 0))


def test_a_spare_slice_is_on_another_node_within_the_caps() -> None:
    mask = FLEET.full_gpu_mask_of_node.copy()
    answer = place(FLEET, mask, ask(2, spare_count=2, keep_together=Level.LEAF_GROUP))
    assert isinstance(answer, Placement)
    nodes = [node for node, _ in (*answer.members, *answer.spares)]
    assert len(set(nodes)) == 3
    assert len(set(FLEET.nodes.leaf_group[nodes].tolist())) == 1
    capped = ask(2, spare_count=2, spread=(SpreadRule("leaf_group", 1),))
    assert isinstance(place(FLEET, mask, capped), Refusal)
    assert isinstance(place(FLEET, mask, ask(2, spare_count=1, keep_together=Level.NODE)), Refusal)


def blocks(state: int) -> list[int]:
    """Sizes of the maximal free aligned blocks of a node, largest first."""
    found = []
    for size in (8, 4, 2, 1):
        for mask in aligned_masks(8, size):
            if state & mask == mask:
                found.append(size)
                state &= ~mask
    return found


def test_every_state_of_a_node_takes_the_best_fit() -> None:
    for size in (1, 2, 4):
        block_of, slice_of = best_slices(8, size)
        for state in range(256):
            sufficient = [block for block in blocks(state) if block >= size]
            assert block_of[state] == min(sufficient, default=0)
            if sufficient:
                mask = int(slice_of[state])
                assert mask in aligned_masks(8, size)
                assert state & mask == mask
                left = sorted(blocks(state & ~mask), reverse=True)
                # Only the block that was cut is gone from the larger ones.
                cut = min(sufficient)
                kept = [b for b in blocks(state) if b > cut]
                assert left[: len(kept)] == kept


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 2, 4, 8]), st.booleans()), max_size=60))
def test_a_sequence_of_place_and_free_keeps_the_buddy_property(
    steps: list[tuple[int, bool]],
) -> None:
    fleet = hgx_fleet(8 * 6)
    mask = fleet.full_gpu_mask_of_node.copy()
    held: list[tuple[int, int]] = []
    for size, is_release in steps:
        if is_release and held:
            node, gpus = held.pop(0)
            mask[node] |= gpus
            continue
        before = max((max(blocks(int(state)), default=0) for state in mask), default=0)
        answer = place(fleet, mask, ask(size))
        # Refused exactly when no node has an aligned block that is large enough.
        assert isinstance(answer, Placement) == (before >= size)
        if isinstance(answer, Placement):
            node, gpus = answer.members[0]
            assert gpus in aligned_masks(8, size)
            assert int(mask[node]) & gpus == gpus
            mask[node] &= ~np.uint16(gpus)
            held.append((node, gpus))
    for node, gpus in held:
        mask[node] |= gpus
    assert (mask == fleet.full_gpu_mask_of_node).all()
