"""States of nodes: those that are drained or quarantined, why, and who said so."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import get_args

from sqlalchemy import Connection, delete, insert, select

from gigawatt.errors import InputError
from gigawatt.identity.accounts import AccountId
from gigawatt.ids import NodeId
from gigawatt.interfaces.store import Doer, NodeState
from gigawatt.store.reservation_outages import note_outage
from gigawatt.store.schema import nodes
from gigawatt.store.usage_notes import NOT_READY, note_node


def set_state(
    connection: Connection,
    node_id: NodeId,
    state: NodeState,
    reason: str,
    now_s: float,
    by: Doer | None = None,
) -> None:
    """Drain, quarantine or return a node; tell the meters of who has it, and its promises.

    Raises:
        InputError: no such state.
    """
    if state not in get_args(NodeState):
        wanted = ", ".join(get_args(NodeState))
        raise InputError(f"node {node_id!r}: state {state!r} is not known, wanted one of {wanted}")
    before = connection.execute(select(nodes).where(nodes.c.node_id == node_id)).one_or_none()
    connection.execute(delete(nodes).where(nodes.c.node_id == node_id))
    if state != "available":
        row = {
            "node_id": node_id,
            "state": state,
            "reason": reason,
            "since_s": now_s,
            "by_account_id": None if by is None else by.account_id,
            "by_name": None if by is None else by.name,
        }
        connection.execute(insert(nodes), row)
    note_node(connection, node_id, state, now_s)
    # A drained node works on for who has it, so only looking at its holder tells what is missing.
    if before is not None and before.state == NOT_READY:
        note_outage(connection, node_id, before.since_s, now_s)


def all_states(connection: Connection) -> Mapping[NodeId, tuple[NodeState, str]]:
    """State and reason of every node that is not "available", by node id."""
    query = select(nodes.c.node_id, nodes.c.state, nodes.c.reason).order_by(nodes.c.node_id)
    return {NodeId(row.node_id): (row.state, row.reason) for row in connection.execute(query)}


def taken_out_by(connection: Connection) -> Mapping[NodeId, Doer]:
    """Who took nodes out of service, by node id; what the control plane did itself is left out."""
    columns = nodes.c
    query = (
        select(columns.node_id, columns.by_account_id, columns.by_name)
        .where(columns.by_account_id.is_not(None))
        .order_by(columns.node_id)
    )
    return {
        NodeId(row.node_id): Doer(AccountId(row.by_account_id), row.by_name or "")
        for row in connection.execute(query)
    }


def unavailable_nodes(
    connection: Connection, node_ids: AbstractSet[str]
) -> Mapping[NodeId, tuple[NodeState, str]]:
    """Those of some nodes that are not "available", with state and reason."""
    states = all_states(connection) if node_ids else {}
    return {node_id: state for node_id, state in states.items() if node_id in node_ids}
