"""Receipts of cleaning in the store.

Goal: what was kept is read back as it was, the newest first, of the node that was asked for.
Method: the SQLite and the PostgreSQL store of this room's fixtures.
"""

from dataclasses import replace

from gigawatt.ids import ClusterId, NodeId
from gigawatt.interfaces.receipts import CleaningReceipt, CleaningStep
from gigawatt.store.receipts import open_receipts

STEP = CleaningStep("power off", 1.0, 2.0, True, "the BMC says off")
RECEIPT = CleaningReceipt("rcp_a", NodeId("n1"), 0xFF, ClusterId("clu_a"), (STEP,))


def test_what_was_kept_is_read_back_the_newest_first(store):
    receipts = open_receipts(store)
    failed = replace(STEP, name="sanitise disk", ended_s=9.0, is_passed=False, detail="3 left ☃")
    later = replace(RECEIPT, receipt_id="rcp_b", steps=(STEP, failed))
    other = replace(RECEIPT, receipt_id="rcp_c", node_id=NodeId("n2"))
    for one in (later, RECEIPT, other, RECEIPT):
        receipts.keep(one)
    assert tuple(receipts.of_node(NodeId("n1"))) == (later, RECEIPT)
    assert tuple(receipts.of_node(NodeId("n1"), limit=1)) == (later,)
    assert tuple(receipts.of_node(NodeId("n3"))) == ()


def test_a_receipt_without_steps_is_kept_and_did_not_pass(store):
    receipts = open_receipts(store)
    receipts.keep(replace(RECEIPT, steps=()))
    (found,) = receipts.of_node(NodeId("n1"))
    assert found.steps == ()
    assert not found.is_passed
