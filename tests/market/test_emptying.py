"""What a size finds among free GPUs, and which slices to move so that nodes become whole.

Goal: a count of fits is what a greedy tenant would get; what is said to be movable can be moved,
one after the other, without breaking up anything else.
Method: hypothesis draws nodes full of aligned slices; every move is carried out here, by hand.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.fleet.slices import aligned_masks
from gigawatt.market.emptying import emptyings
from gigawatt.market.stranded import fit_of

SLICES = [mask for size in (1, 2, 4) for mask in aligned_masks(8, size)]


@st.composite
def floors(draw: st.DrawFn) -> tuple[np.ndarray, dict[int, list[int]]]:
    """Free GPUs of nodes with 8, and the slices held on them; some nodes cannot be given."""
    count = draw(st.integers(1, 12))
    free = np.full(count, 0xFF, np.uint16)
    held: dict[int, list[int]] = {}
    for row in range(count):
        for mask in draw(st.lists(st.sampled_from(SLICES), max_size=6)):
            if int(free[row]) & mask == mask:
                free[row] &= ~np.uint16(mask)
                held.setdefault(row, []).append(mask)
        if draw(st.integers(0, 9)) == 0:
            free[row] = 0
    return free, held


@given(floors())
def test_what_is_said_to_be_movable_can_be_moved(floor: tuple[np.ndarray, dict[int, list[int]]]):
    free, held = floor
    before = free.copy()
    found = emptyings(free, held, 8, 100)
    assert (free == before).all(), "nothing that was given is changed"
    emptied: set[int] = set()
    for one in found:
        assert one.node not in emptied
        assert one.moved_gpu_count == sum(mask.bit_count() for mask in held[one.node])
        assert one.gained_gpu_count == int(free[one.node]).bit_count() == 8 - one.moved_gpu_count
        assert len(one.to_nodes) == len(held[one.node])
        sizes = sorted((mask.bit_count() for mask in held[one.node]), reverse=True)
        for size, to_node in zip(sizes, one.to_nodes, strict=True):
            assert to_node != one.node
            assert to_node not in emptied
            assert before[to_node] != 0xFF, "no whole node is broken up"
            mask = next(m for m in aligned_masks(8, size) if int(free[to_node]) & m == m)
            free[to_node] &= ~np.uint16(mask)
        emptied.add(one.node)
        free[one.node] = 0xFF
    wholes = int((free == 0xFF).sum()) - int((before == 0xFF).sum())
    assert wholes == len(found)


def test_the_least_is_moved_first_and_only_as_many_as_wanted():
    free = np.array([0b0000_1111, 0b0111_1111, 0b1111_1110, 0xFF], np.uint16)
    held = {0: [0b1111_0000], 1: [0b1000_0000], 2: [0b0000_0001]}
    found = emptyings(free, held, 8, 100)
    assert [(one.node, one.moved_gpu_count, one.to_nodes) for one in found] == [
        (1, 1, (0,)),
        (2, 1, (0,)),
    ]
    assert len(emptyings(free, held, 8, 1)) == 1
    assert emptyings(free, {}, 8, 100) == ()


def test_a_node_whose_rest_cannot_be_given_is_not_emptied():
    free = np.array([0b0000_0011, 0b0000_1111], np.uint16)
    held = {0: [0b1100_0000], 1: [0b1111_0000]}
    assert emptyings(free, held, 8, 100) == ()


@given(floors(), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_fits_are_what_one_would_get(floor: tuple[np.ndarray, dict[int, list[int]]], size: int):
    free, _ = floor
    fabric = np.arange(len(free)) % 2
    fit = fit_of(free, fabric, 8, size)
    if size < 8:
        got = sum(int(f) & m == m for f in free for m in aligned_masks(8, size))
        used = got * size
    else:
        nodes = size // 8
        got = sum(int((free[fabric == one] == 0xFF).sum()) // nodes for one in (0, 1))
        used = sum(
            8 * wholes
            for one in (0, 1)
            if (wholes := int((free[fabric == one] == 0xFF).sum())) >= nodes
        )
    assert fit.fit_count == got
    assert fit.stranded.gpu_count == int(np.bitwise_count(free).sum()) - used
