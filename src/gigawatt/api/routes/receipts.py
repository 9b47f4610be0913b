"""Receipts of cleaning: what was done to a node between two tenants."""

from gigawatt.api.access import Allowed
from gigawatt.api.paging import Limit
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import at
from gigawatt.ids import NodeId
from gigawatt.interfaces.receipts import CleaningReceipt
from gigawatt.sdk import documents as doc

router = new_router("receipts")


@operation(router, "GET", "/nodes/{node_id}/receipts")
def list_node_receipts(
    node_id: str, access: Allowed, limit: Limit = 100
) -> doc.Page[doc.CleaningReceipt]:
    """The newest receipts of a node, the last one first."""
    access.permit()
    wanted = NodeId(node_id)
    access.service.control.around.fleet.node_index(wanted)
    return doc.Page(
        items=[_document(one) for one in access.service.receipts.of_node(wanted, limit)]
    )


def _document(receipt: CleaningReceipt) -> doc.CleaningReceipt:
    return doc.CleaningReceipt(
        id=receipt.receipt_id,
        node_id=receipt.node_id,
        gpu_mask=receipt.gpu_mask,
        cluster_id=receipt.cluster_id,
        is_passed=receipt.is_passed,
        steps=[
            doc.CleaningStep(
                name=step.name,
                began_at=at(step.began_s),
                ended_at=at(step.ended_s),
                is_passed=step.is_passed,
                detail=step.detail,
            )
            for step in receipt.steps
        ],
    )
