"""Slices of a node: which sets of GPUs may be handed to one guest.

A slice of k GPUs is aligned: k is a power of two that divides the node's GPU count, and its
GPUs are the numbers [m*k, (m+1)*k). So, where GPU and NUMA counts are powers of two, a slice
never straddles a NUMA domain that could hold it, its GPUs share a PCIe switch where the board has
them in pairs, and freed slices merge again into whole nodes. NIC i serves GPUs
[i*gpu_count/nic_count, (i+1)*gpu_count/nic_count).

Source: ours; the alignment is the buddy scheme of Knuth, TAOCP vol. 1, section 2.5.
"""

from gigawatt.errors import InputError
from gigawatt.fleet.model import NodeType


def slice_sizes(gpu_count: int) -> tuple[int, ...]:
    """Sizes of slice that a node with ``gpu_count`` GPUs (1 to 16) offers, whole node last.

    Example:
        >>> slice_sizes(8)
        (1, 2, 4, 8)
        >>> slice_sizes(6)
        (1, 2, 6)
    """
    powers = [1 << i for i in range(5) if gpu_count % (1 << i) == 0 and (1 << i) < gpu_count]
    return (*powers, gpu_count)


def offered_sizes(node_type: NodeType) -> tuple[int, ...]:
    """Sizes of slice that nodes of a type offer, the whole node last; bare metal has only that."""
    return (node_type.gpu_count,) if node_type.is_bare_metal else slice_sizes(node_type.gpu_count)


def aligned_masks(gpu_count: int, size: int) -> tuple[int, ...]:
    """GPU masks of every aligned slice of ``size`` GPUs, lowest first.

    Raises:
        InputError: the node does not offer this size.

    Example:
        >>> [bin(m) for m in aligned_masks(8, 4)]
        ['0b1111', '0b11110000']
    """
    if size not in slice_sizes(gpu_count):
        offered = ", ".join(str(s) for s in slice_sizes(gpu_count))
        raise InputError(
            f"a node with {gpu_count} GPUs has no slice of {size}",
            next_step=f"Ask for one of {offered} GPUs, or for whole nodes.",
        )
    one = (1 << size) - 1
    return tuple(one << (m * size) for m in range(gpu_count // size))


def gpus_in_mask(mask: int) -> tuple[int, ...]:
    """GPU numbers in a mask, ascending.

    Example:
        >>> gpus_in_mask(0b1100)
        (2, 3)
    """
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


def nics_of_mask(node_type: NodeType, mask: int) -> tuple[int, ...]:
    """NIC numbers (0 to nic_count - 1) that serve the GPUs of a mask, ascending.

    A NIC that serves GPUs of several slices goes to the slice that holds its first GPU, so two
    disjoint masks never share a NIC.
    """
    return tuple(
        nic
        for nic in range(node_type.nic_count)
        if mask >> (nic * node_type.gpu_count // node_type.nic_count) & 1
    )
