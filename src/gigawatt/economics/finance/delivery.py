"""Months in which assets are delivered, paid and in service."""

from gigawatt.economics.finance.deal import Deal, Payment


def delivery_months(deal: Deal) -> list[int]:
    """Month of delivery of each asset, in the deal's order; ``after`` must have no circle."""
    by_name = {asset.name: asset for asset in deal.assets}
    known: dict[str, int] = {}
    for asset in deal.assets:
        chain = [asset]
        while chain[-1].after is not None and chain[-1].name not in known:
            chain.append(by_name[chain[-1].after.asset])
        for link in reversed(chain):
            if link.after is not None:
                known.setdefault(link.name, known[link.after.asset] + int(link.after.lag.value))
            elif link.delivered is not None:
                known.setdefault(link.name, int(link.delivered.value))
    return [known[asset.name] for asset in deal.assets]


def paid_month(payment: Payment, delivered: int) -> int:
    """Month in which a payment falls: ``lead`` before delivery, but not before close."""
    return max(0, delivered - int(payment.lead.value))


def service_months(deal: Deal) -> list[int]:
    """Month at whose end each asset starts to earn."""
    pairs = zip(deal.assets, delivery_months(deal), strict=True)
    return [month + int(asset.commissioning.value) for asset, month in pairs]
