"""What was agreed: contract items, prices of products, and what tenants call their clusters."""

from gigawatt.api.access import Allowed
from gigawatt.api.billing_views import item_document, price_document
from gigawatt.api.routing import new_router, operation
from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.contract import ContractItem, ItemKind
from gigawatt.market.product import KNOWN, ProductPrice
from gigawatt.sdk import documents as doc

router = new_router("billing")


@operation(router, "GET", "/organisations/{organisation_id}/contract-items")
def list_contract_items(organisation_id: str, access: Allowed) -> doc.Page[doc.ContractItem]:
    """What was agreed with an organisation, and what is used of it."""
    found = access.organisation(organisation_id)
    agreed = access.service.market.billing.book.agreed()
    mine = [item for item in agreed.items if item.organisation_id == found]
    mine.sort(key=lambda item: (item.from_month, item.item_id))
    return doc.Page(items=[item_document(i, agreed.used.get(i.item_id, 0)) for i in mine])


@operation(router, "POST", "/organisations/{organisation_id}/contract-items", 201)
def create_contract_item(
    organisation_id: str, body: doc.CreateContractItem, access: Allowed
) -> doc.ContractItem:
    """Agree on a commitment, a credit, a minimum or a tax, from an open month on."""
    found, service = access.organisation(organisation_id), access.service
    item = ContractItem(
        item_id=service.control.new_id("ctr"),
        organisation_id=found,
        kind=ItemKind(body.kind),
        name=body.name,
        amount_micro_usd=body.amount_micro_usd or 0,
        rate_ppm=body.rate_ppm or 0,
        from_month=body.from_month,
        to_month=body.to_month,
    )
    service.market.billing.book.add_item(item, service.now_s())
    made = item_document(item, 0)
    access.note_change(None, made)
    return made


@operation(router, "GET", "/product-prices")
def list_product_prices(access: Allowed) -> doc.Page[doc.ProductPrice]:
    """Prices of storage and of what other services measure."""
    access.permit()
    prices = sorted(
        access.service.market.billing.book.agreed().prices,
        key=lambda price: (price.product, price.from_month, price.price_id),
    )
    return doc.Page(items=[price_document(price) for price in prices])


@operation(router, "POST", "/product-prices", 201)
def create_product_price(body: doc.CreateProductPrice, access: Allowed) -> doc.ProductPrice:
    """Set a price from an open month on; of a known product its unit is known too."""
    access.permit()
    service = access.service
    known = KNOWN.get(body.product)
    if known is None and (body.unit is None or body.parts_per_unit is None):
        raise InputError(f"a price of {body.product!r} needs a unit and how many parts it has")
    owner = body.organisation_id
    if owner is not None:
        service.directory.organisation(OrganisationId(owner))
    price = ProductPrice(
        price_id=service.control.new_id("prc"),
        product=body.product,
        price_micro_usd=body.price_micro_usd,
        unit=body.unit or ("" if known is None else known.unit),
        parts_per_unit=body.parts_per_unit or (1 if known is None else known.parts_per_unit),
        from_month=body.from_month,
        organisation_id=None if owner is None else OrganisationId(owner),
    )
    service.market.billing.book.add_price(price, service.now_s())
    made = price_document(price)
    access.note_change(None, made)
    return made


@operation(router, "PUT", "/clusters/{cluster_id}/cost-tag")
def set_cost_tag(cluster_id: str, body: doc.SetCostTag, access: Allowed) -> doc.CostTag:
    """Call a cluster so on invoices, from the next closing on; empty for nothing."""
    record, service = access.cluster(cluster_id), access.service
    service.market.billing.book.set_tag(record.cluster_id, body.tag, service.now_s())
    made = doc.CostTag(cluster_id=record.cluster_id, tag=body.tag)
    access.note_change(None, made)
    return made
