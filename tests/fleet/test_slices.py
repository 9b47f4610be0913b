"""Goal: slices of a node never overlap, fill the node, and share no NIC.

Method: exhaustive over every GPU count and slice size; every node type of the catalogue.
"""

import pytest

from gigawatt.errors import InputError
from gigawatt.fleet.catalogue import node_types
from gigawatt.fleet.slices import aligned_masks, gpus_in_mask, nics_of_mask, slice_sizes


@pytest.mark.parametrize("gpu_count", range(1, 17))
def test_slices_of_one_size_partition_the_node(gpu_count):
    assert slice_sizes(gpu_count)[-1] == gpu_count
    for size in slice_sizes(gpu_count):
        masks = aligned_masks(gpu_count, size)
        assert sum(masks) == (1 << gpu_count) - 1
        assert all(len(gpus_in_mask(mask)) == size for mask in masks)


@pytest.mark.parametrize("gpu_count", range(1, 17))
def test_a_slice_is_made_of_whole_smaller_slices(gpu_count):
    sizes = slice_sizes(gpu_count)
    for small in sizes:
        for large in sizes:
            for outer in aligned_masks(gpu_count, large):
                for inner in aligned_masks(gpu_count, small) if small <= large else ():
                    assert inner & outer in {0, inner}


def test_a_size_that_is_not_offered_is_refused_with_the_sizes_that_are():
    with pytest.raises(InputError, match="no slice of 3") as caught:
        aligned_masks(8, 3)
    assert "1, 2, 4, 8" in caught.value.next_step


@pytest.mark.parametrize("row", node_types(), ids=lambda row: row.node_type.name)
def test_nics_go_to_one_slice_each_and_none_is_lost(row):
    node_type = row.node_type
    for size in slice_sizes(node_type.gpu_count):
        masks = aligned_masks(node_type.gpu_count, size)
        nics = [nic for mask in masks for nic in nics_of_mask(node_type, mask)]
        assert sorted(nics) == list(range(node_type.nic_count))


@pytest.mark.parametrize("row", node_types(), ids=lambda row: row.node_type.name)
def test_no_slice_straddles_a_numa_domain_that_could_hold_it(row):
    node_type = row.node_type
    per_numa = node_type.gpu_count // node_type.numa_count
    for size in (s for s in slice_sizes(node_type.gpu_count) if s <= per_numa):
        for mask in aligned_masks(node_type.gpu_count, size):
            assert len({gpu // per_numa for gpu in gpus_in_mask(mask)}) == 1
