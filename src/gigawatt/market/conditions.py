"""What somebody agrees to by taking a term: when it is billed, and how it ends."""

from collections.abc import Mapping

from gigawatt.intent.term import Term

CANCELLATION: Mapping[Term, str] = {
    Term.ON_DEMAND: "release it at any time; billed by the second until release is asked for",
    Term.RESERVED: "paid for from its start to its end, whether it is used or not",
    Term.SPOT: "taken back with notice when somebody else needs it; release it at any time",
}
"""How each term ends, in one sentence."""

ONLY_WHILE_READY = "nodes are billed while they are verified and ready; a launch that fails is free"


def billed_items(spare_node_count: int, storage_bytes: int) -> tuple[str, ...]:
    """What is billed beside the GPUs asked for, and what is not; one sentence each."""
    found = [ONLY_WHILE_READY]
    if spare_node_count:
        nodes = f"{spare_node_count:,} spare node{'' if spare_node_count == 1 else 's'}"
        found.append(f"{nodes} at the same price, because nobody else can have them")
    if storage_bytes:
        found.append("its file system, by its size, apart from this price")
    return tuple(found)
