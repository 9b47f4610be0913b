"""A deal from YAML text, read strictly; what is wrong is told with line and field."""

from collections import Counter
from collections.abc import Callable, Iterator

from pydantic import ValidationError

from gigawatt.economics.finance.deal import HOURS_PER_MONTH, Deal
from gigawatt.economics.finance.delivery import delivery_months, paid_month
from gigawatt.fleet.yaml_tree import Path, read_yaml, shorten

Complaint = tuple[Path, str]

COST_USD_MAX = 1e12
FLOW_USD_MAX = 1e11
"""Bounds within which sums of micro-dollars stay in 64 bits, whatever prices do; ours."""

_KNOWN = {"extra_forbidden": "this key is not known here", "missing": "is missing"}
_SHARE_TOLERANCE = 1e-9


def load_deal(text: str, source: str) -> Deal:
    """The deal of a YAML text.

    Args:
        text: the file's text.
        source: what to call it in complaints.

    Raises:
        InputError: not YAML, not a deal, or a deal that contradicts itself; the message names the
            line and the field.
    """
    tree = read_yaml(text, source)
    try:
        deal = Deal.model_validate(tree.data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        first = problems[0]
        sentence = _KNOWN.get(first["type"])
        if sentence is None:
            sentence = first["msg"].removeprefix("Value error, ")
            if first["type"] != "value_error":
                sentence += f", got {shorten(repr(first['input']))}"
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise tree.wrong(first["loc"], sentence + more) from None
    for path, sentence in complaints(deal):
        raise tree.wrong(path, sentence)
    return deal


def complaints(deal: Deal) -> Iterator[Complaint]:
    """Where a deal contradicts itself: the field and a sentence, the first reason first."""
    for rule in _RULES:
        found = list(rule(deal))
        yield from found
        if found:
            return


def _names(deal: Deal) -> Iterator[Complaint]:
    counts = Counter(asset.name for asset in deal.assets)
    for row, asset in enumerate(deal.assets):
        if counts[asset.name] > 1:
            yield ("assets", row, "name"), f"name {asset.name!r} is there twice"
        if (asset.delivered is None) == (asset.after is None):
            yield ("assets", row), f"{asset.name!r}: wanted either 'delivered' or 'after'"
        if asset.after and asset.after.asset not in counts:
            yield ("assets", row, "after", "asset"), f"no asset is named {asset.after.asset!r}"


def _circles(deal: Deal) -> Iterator[Complaint]:
    followed = {asset.name: asset.after.asset for asset in deal.assets if asset.after}
    for row, asset in enumerate(deal.assets):
        seen, name = [asset.name], followed.get(asset.name)
        while name is not None and name not in seen:
            seen.append(name)
            name = followed.get(name)
        if name is not None:
            ring = " -> ".join([*seen, name])
            yield ("assets", row, "after"), f"the delivery schedule is circular: {ring}"


def _shares(deal: Deal) -> Iterator[Complaint]:
    for row, asset in enumerate(deal.assets):
        total = sum(payment.share.value for payment in asset.payments)
        if abs(total - 100.0) > _SHARE_TOLERANCE:
            yield ("assets", row, "payments"), f"shares sum to {total:g} percent, wanted 100"
    values = deal.taxes.depreciation.values
    place: Path = ("taxes", "depreciation", "values")
    if min(values) < 0 or abs(sum(values) - 100.0) > _SHARE_TOLERANCE:
        yield place, f"shares sum to {sum(values):g} percent, wanted 100 and none below 0"
    if deal.taxes.depreciation.unit != "percent":
        yield (
            ("taxes", "depreciation", "unit"),
            f"unit {deal.taxes.depreciation.unit!r}, wanted 'percent'",
        )


def _periods(deal: Deal) -> Iterator[Complaint]:
    step = deal.period_months
    spans: dict[Path, float] = {
        ("horizon", "value"): deal.horizon.value,
        ("terms", "tenor", "value"): deal.terms.tenor.value,
        ("terms", "draw_window", "value"): deal.terms.draw_window.value,
        ("reserves", "dsra", "value"): deal.reserves.dsra.value,
        ("covenants", "lookback", "value"): deal.covenants.lookback.value,
    }
    for path, months in spans.items():
        if months % step:
            yield (
                path,
                f"{months:g} months, wanted a multiple of {step} as periods are {deal.period}",
            )


def _dates(deal: Deal) -> Iterator[Complaint]:
    terms = deal.terms
    repaid = terms.draw_window.value + terms.tenor.value
    if repaid > deal.horizon.value:
        yield (
            ("terms", "tenor", "value"),
            f"the loan matures in month {repaid:g}, wanted <= the horizon {deal.horizon.value:g}",
        )
    if terms.maturity == "each_draw" and terms.tenor.value <= terms.draw_window.value:
        yield (
            ("terms", "tenor", "value"),
            (
                f"{terms.tenor.value:g} months, wanted more than the draw window of "
                f"{terms.draw_window.value:g} as each draw has its own maturity"
            ),
        )
    for row, month in enumerate(delivery_months(deal)):
        asset = deal.assets[row]
        place: Path = ("assets", row, "after" if asset.after else "delivered")
        if month >= repaid:
            yield place, f"delivered in month {month}, after the loan matures in month {repaid:g}"
        for number, payment in enumerate(asset.payments):
            paid = paid_month(payment, month)
            if paid > terms.draw_window.value:
                yield (
                    ("assets", row, "payments", number),
                    (
                        f"paid in month {paid}, after the draw window ends in month "
                        f"{terms.draw_window.value:g}"
                    ),
                )


def _obligors(deal: Deal) -> Iterator[Complaint]:
    revenue = deal.revenue
    if revenue.offtake is None and revenue.on_demand is None:
        yield ("revenue",), "wanted 'offtake', 'on_demand' or both"
    for key, obligor in (("offtake", revenue.offtake), ("on_demand", revenue.on_demand)):
        if obligor and obligor.rating not in deal.terms.margins:
            yield ("revenue", key, "rating"), f"terms.margins has no margin for {obligor.rating}"
    gpus = sum(asset.gpus.value for asset in deal.assets)
    if revenue.offtake and revenue.offtake.gpus.value > gpus:
        yield (
            ("revenue", "offtake", "gpus", "value"),
            f"{revenue.offtake.gpus.value:g} GPUs contracted, wanted <= the {gpus:g} delivered",
        )
    if deal.covenants.default.value > deal.covenants.lock_up.value:
        yield (
            ("covenants", "default", "value"),
            f"{deal.covenants.default.value:g}, wanted <= lock_up {deal.covenants.lock_up.value:g}",
        )


def _sizes(deal: Deal) -> Iterator[Complaint]:
    cost_usd = sum(asset.gpus.value * asset.cost.value for asset in deal.assets)
    if cost_usd > COST_USD_MAX:
        yield ("assets",), f"they cost ${cost_usd:,.0f}, wanted <= ${COST_USD_MAX:,.0f}"
    hours = sum(asset.gpus.value for asset in deal.assets) * HOURS_PER_MONTH * deal.period_months
    contract, seller = deal.revenue.offtake, deal.revenue.on_demand
    rates_usd = [deal.costs.opex.value]
    if contract is not None:
        rates_usd.append(contract.rate.value * (1.0 + contract.security_deposit.value))
    if seller is not None:
        rates_usd.append(max(seller.price.values))
    if hours * max(rates_usd) > FLOW_USD_MAX:
        yield (
            ("revenue",),
            f"up to ${hours * max(rates_usd):,.0f} a period, wanted <= ${FLOW_USD_MAX:,.0f}",
        )


_RULES: tuple[Callable[[Deal], Iterator[Complaint]], ...] = (
    _names,
    _sizes,
    _circles,
    _shares,
    _periods,
    _dates,
    _obligors,
)
