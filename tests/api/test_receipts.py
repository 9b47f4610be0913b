"""Receipts of cleaning over the API.

Goal: operators read what was done to a node, the newest first; of a node that is not there they are
told so. Who may is in ``tests/api/authorisation``.
Method: the service of this room's fixtures; receipts are put into its store.
"""

from gigawatt.ids import ClusterId, NodeId
from gigawatt.interfaces.receipts import CleaningReceipt, CleaningStep


def test_operators_read_the_receipts_of_a_node_the_newest_first(world):
    nodes = world.service.control.around.fleet.nodes.ids
    first, other = NodeId(nodes[0]), NodeId(nodes[1])
    for number, is_passed in enumerate((True, False)):
        step = CleaningStep("sample disk", 10.0, 20.0 + number, is_passed, f"found {number} files")
        steps = (step,)
        receipt = CleaningReceipt(f"rcp_{number}", first, 0xFF, ClusterId("clu_a"), steps)
        world.service.receipts.keep(receipt)
    found = world.ok("operator", "GET", f"/nodes/{first}/receipts")["items"]
    assert [(one["id"], one["is_passed"]) for one in found] == [("rcp_1", False), ("rcp_0", True)]
    assert found[0]["steps"][0]["detail"] == "found 1 files"
    assert found[0]["cluster_id"] == "clu_a"
    assert len(world.ok("operator", "GET", f"/nodes/{first}/receipts?limit=1")["items"]) == 1
    assert world.ok("operator", "GET", f"/nodes/{other}/receipts")["items"] == []
    assert world.call("operator", "GET", "/nodes/nowhere/receipts").status_code == 404
    assert world.call("operator", "GET", f"/nodes/{first}/receipts?limit=0").status_code == 400
    assert world.call("acme.owner", "GET", f"/nodes/{first}/receipts").status_code == 403
