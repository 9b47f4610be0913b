"""The guards between offers and quotes: what is refused, and what is left out with its reason.

Wrong input is refused (``InputError`` that names the offer): a negative price, an absurd day, a
currency without a rate, the same cell priced twice on a day. An offer that is well formed but no
price of one GPU for one hour is left out, and every such offer is listed with the rule it met.
Source of the rules: bugs that users of price catalogues reported, listed in docs/index.md.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import fmean, median, pstdev
from typing import Literal

from gigawatt.economics.index.gpus import canonical_gpu
from gigawatt.economics.index.quote import Cell, Gpu, Offer, PriceBasis, Quote, Term
from gigawatt.economics.index.settings import Settings
from gigawatt.errors import InputError
from gigawatt.money import MICRO_USD_PER_USD

FIRST_DAY = date(2010, 11, 15)
"""No GPU-hour was sold before. Source: launch of the first GPU node type of a public cloud."""
ADMINISTERED_LEVELS_MIN = 3
"""Distinct on-demand prices one multiple must span; a ratio of two constants proves nothing."""

Rule = Literal[
    "no_price",
    "zero_price",
    "teaser",
    "component_price",
    "fractional_gpu",
    "no_node_size",
    "memory_mismatch",
    "whole_node",
    "administered_spot",
    "outlier",
]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An offer or price that was left out.

    Fields: rule it met; name of the offer or cell; sentence that says why.
    """

    rule: Rule
    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Screened:
    """Quotes that passed every guard, and what did not."""

    quotes: tuple[Quote, ...]
    exclusions: tuple[Exclusion, ...]


def _refuse(offer: Offer, sentence: str, next_step: str) -> InputError:
    return InputError(f"{offer.name}: {sentence}", next_step=next_step)


def _check_form(offer: Offer, rates_micro_usd: Mapping[str, int]) -> None:
    if offer.price_micro is not None and offer.price_micro < 0:
        raise _refuse(offer, f"price {offer.price_micro} micro is negative", "Correct the price.")
    if not FIRST_DAY <= offer.day <= offer.retrieved:
        raise _refuse(
            offer,
            f"day {offer.day} is not from {FIRST_DAY} to the day it was read, {offer.retrieved}",
            "Correct the date; a price cannot be known before its day.",
        )
    if not offer.source:
        raise _refuse(offer, "has no source", "Say who published the price.")
    if offer.currency not in rates_micro_usd:
        raise _refuse(
            offer,
            f"currency is {offer.currency!r}, and no rate to USD was given",
            f"Give a rate, e.g. --rate {offer.currency}=1.08 (USD for one).",
        )
    if offer.quantity_gpu_hours is not None and not 0 < offer.quantity_gpu_hours < float("inf"):
        raise _refuse(
            offer,
            f"quantity is {offer.quantity_gpu_hours} GPU-hours, wanted more than 0",
            "Leave the quantity empty where it is unknown.",
        )
    if offer.gpu_count is not None and not 0 < offer.gpu_count < float("inf"):
        raise _refuse(
            offer,
            f"node has {offer.gpu_count} GPUs, wanted more than 0",
            "Leave the count empty where it is unknown.",
        )


def _out(offer: Offer, rule: Rule, sentence: str) -> Exclusion:
    return Exclusion(rule, offer.name, sentence)


def _no_gpu_price(offer: Offer) -> Exclusion | None:
    """Why the offer holds no price of one GPU for one hour, if so."""
    count = offer.gpu_count
    rules: tuple[tuple[bool, Rule, str], ...] = (
        (offer.price_micro is None, "no_price", "the source publishes no price"),
        (
            offer.price_micro == 0,
            "zero_price",
            "0 is not a price; capacity sold elsewhere reads so",
        ),
        (offer.basis is PriceBasis.FROM, "teaser", "a 'from' price names the cheapest case"),
        (
            offer.basis is PriceBasis.COMPONENT,
            "component_price",
            "CPU and memory of the node are billed apart",
        ),
        (
            count is not None and not float(count).is_integer(),
            "fractional_gpu",
            f"{count} of a GPU has no price per GPU",
        ),
        (
            offer.basis is PriceBasis.NODE and count is None,
            "no_node_size",
            "a price per node of unknown size has no price per GPU",
        ),
    )
    for is_met, rule, sentence in rules:
        if is_met:
            return _out(offer, rule, sentence)
    return None


def quote_of(offer: Offer, rates_micro_usd: Mapping[str, int]) -> Quote | Exclusion:
    """The quote that an offer makes by itself, or why it makes none.

    Args:
        offer: as read.
        rates_micro_usd: micro-USD for one unit of each accepted currency.

    Raises:
        InputError: the offer is malformed; it is named.
    """
    _check_form(offer, rates_micro_usd)
    if refused := _no_gpu_price(offer):
        return refused
    gpu = canonical_gpu(offer.gpu)
    if not isinstance(gpu, Gpu):
        return _out(offer, "memory_mismatch", gpu)
    assert offer.price_micro is not None
    node_gpu_count = int(offer.gpu_count or 0)
    divisor = MICRO_USD_PER_USD * (node_gpu_count if offer.basis is PriceBasis.NODE else 1)
    # Half up in integers, so that no float touches a price.
    price = (2 * offer.price_micro * rates_micro_usd[offer.currency] + divisor) // (2 * divisor)
    if price == 0:
        return _out(offer, "zero_price", "the price per GPU rounds to 0 micro-USD")
    cell = Cell(
        gpu, offer.term, offer.provider, offer.region, node_gpu_count, offer.sku, offer.kind
    )
    return Quote(cell, offer.day, price, offer.quantity_gpu_hours, offer)


def _check_duplicates(quotes: Iterable[Quote]) -> None:
    seen: dict[tuple[Cell, date], Quote] = {}
    for quote in quotes:
        other = seen.setdefault((quote.cell, quote.day), quote)
        if other is not quote:
            raise _refuse(
                quote.offer,
                f"the same cell has a price on the same day at {other.offer.place}",
                "Keep one, or tell the products apart with 'sku' or 'region'.",
            )


def _whole_node_prices(quotes: Sequence[Quote], tolerance_ratio: float) -> dict[Quote, Exclusion]:
    """Quotes said to be per GPU that equal the peers' price times the GPUs of the node."""
    if tolerance_ratio <= 0:
        return {}
    groups: dict[tuple[Gpu, Term, str], list[Quote]] = defaultdict(list)
    for quote in quotes:
        groups[quote.cell.gpu, quote.cell.term, quote.month].append(quote)
    found = {}
    for group in groups.values():
        by_provider: dict[str, list[int]] = defaultdict(list)
        for quote in group:
            by_provider[quote.cell.provider].append(quote.price_micro_usd_per_gpu_hour)
        medians = {provider: median(prices) for provider, prices in by_provider.items()}
        for quote in group:
            count = quote.cell.node_gpu_count
            peers = [value for name, value in medians.items() if name != quote.cell.provider]
            if count < 2 or len(peers) < 2 or quote.offer.basis is PriceBasis.NODE:
                continue
            ratio = quote.price_micro_usd_per_gpu_hour / median(peers)
            if abs(ratio / count - 1.0) <= tolerance_ratio and ratio > 1.0 + tolerance_ratio:
                sentence = (
                    f"is {ratio:.1f} times the peers' median: a price of the {count}-GPU node"
                )
                found[quote] = _out(quote.offer, "whole_node", sentence)
    return found


def _administered_providers(quotes: Iterable[Quote], cv_max: float) -> dict[str, str]:
    """Provider to sentence: its spot prices are one multiple of its on-demand prices."""
    prices: dict[tuple[Cell, date], int] = {}
    for quote in quotes:
        prices[quote.cell, quote.day] = quote.price_micro_usd_per_gpu_hour
    pairs: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for (cell, day), price in prices.items():
        if cell.term is not Term.SPOT:
            continue
        whole = prices.get((replace(cell, term=Term.ON_DEMAND), day))
        if whole is not None:
            pairs[cell.provider].add((whole, price))
    found = {}
    for provider, known in pairs.items():
        ratios = [price / whole for whole, price in known]
        level_count = len({whole for whole, _ in known})
        if level_count >= ADMINISTERED_LEVELS_MIN and pstdev(ratios) <= cv_max * fmean(ratios):
            found[provider] = (
                f"spot of {provider} is {fmean(ratios):.3f} x on-demand at {level_count} prices: "
                "set by rule, no market"
            )
    return found


def accept(offers: Iterable[Offer], rates_micro_usd: Mapping[str, int] | None = None) -> Screened:
    """Quotes of the offers that pass the guards which look at one offer alone.

    Args:
        offers: as read, in any order.
        rates_micro_usd: micro-USD for one unit of each currency besides USD.

    Returns:
        Quotes in order of cell and day, and all that was left out.

    Raises:
        InputError: an offer is malformed, lacks a rate or stands twice; it is named.
    """
    rates = {**(rates_micro_usd or {}), "USD": MICRO_USD_PER_USD}
    quotes: list[Quote] = []
    exclusions: list[Exclusion] = []
    for offer in offers:
        judged = quote_of(offer, rates)
        if isinstance(judged, Quote):
            quotes.append(judged)
        else:
            exclusions.append(judged)
    rank = {cell: number for number, cell in enumerate(sorted({q.cell for q in quotes}))}
    quotes.sort(key=lambda quote: (rank[quote.cell], quote.day))
    _check_duplicates(quotes)
    return Screened(tuple(quotes), tuple(exclusions))


def guard(accepted: Screened, settings: Settings) -> Screened:
    """What is left by the guards that compare quotes with each other.

    Args:
        accepted: what ``accept`` gave.
        settings: tolerances of the guards.
    """
    exclusions = list(accepted.exclusions)
    nodes = _whole_node_prices(accepted.quotes, settings.node_price_tolerance_ratio)
    exclusions.extend(nodes.values())
    quotes = accepted.quotes
    if nodes:
        quotes = tuple(quote for quote in quotes if quote not in nodes)
    administered = _administered_providers(quotes, settings.administered_cv_max)
    kept = []
    for quote in quotes:
        reason = administered.get(quote.cell.provider)
        if reason is not None and quote.cell.term is Term.SPOT:
            exclusions.append(_out(quote.offer, "administered_spot", reason))
        else:
            kept.append(quote)
    return Screened(tuple(kept), tuple(exclusions))


def screen(
    offers: Iterable[Offer],
    settings: Settings,
    rates_micro_usd: Mapping[str, int] | None = None,
) -> Screened:
    """Quotes that pass every guard: ``accept``, then ``guard``.

    Raises:
        InputError: as ``accept``.
    """
    return guard(accept(offers, rates_micro_usd), settings)


def count_rules(exclusions: Iterable[Exclusion]) -> dict[str, int]:
    """How many offers or prices each rule left out, most first."""
    return dict(Counter(item.rule for item in exclusions).most_common())
