"""What an organisation and the site agreed beside prices: commitments, credits, minimums, taxes.

A commitment is paid when it begins and drawn down by what is used; what is left of it at its end
is lost. A credit is given, not paid, and takes what is left after commitments. A minimum is what a
month costs at least, before commitments and credits. Whatever ends first is used first. A tax is a
share of what is left, and a commitment is taxed when it is bought, so what it pays is not again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId, check_label
from gigawatt.market.charge import half_up
from gigawatt.market.ledger import AMOUNT_MICRO_USD_MAX, CURRENCY
from gigawatt.market.month import check_month

PPM = 1_000_000
"""Parts per million in a whole."""
TAX_PPM_MAX = PPM
"""A tax beyond all of it is a mistake. Ours."""


class ItemKind(StrEnum):
    """What was agreed."""

    COMMITMENT = "commitment"
    CREDIT = "credit"
    MINIMUM = "minimum"
    TAX = "tax"


@dataclass(frozen=True, slots=True)
class ContractItem:
    """One thing that was agreed.

    Fields:
        name: what an invoice calls it.
        amount_micro_usd: of a commitment or a credit in all, of a minimum each month; 0 for a tax.
        rate_ppm: of a tax, in parts per million; 0 for the others.
        from_month, to_month: ``YYYY-MM``, the first and the last in which it is in force.
    """

    item_id: str
    organisation_id: OrganisationId
    kind: ItemKind
    name: str
    amount_micro_usd: int
    rate_ppm: int
    from_month: str
    to_month: str
    currency: str = CURRENCY

    def is_in_force(self, month: str) -> bool:
        """Whether a month is one of its own."""
        return self.from_month <= month <= self.to_month


def check_item(item: ContractItem, closed_month: str = "") -> None:
    """Refuse what cannot be agreed.

    Args:
        item: what it is.
        closed_month: the last month whose invoices are out; empty for none.

    Raises:
        InputError: the reason.
    """
    check_label("what was agreed", item.name)
    check_month(item.from_month)
    check_month(item.to_month)
    reason = _reason(item, closed_month)
    if reason is not None:
        raise InputError(f"{item.kind.value} {item.name!r}: {reason}")


def _reason(item: ContractItem, closed_month: str) -> str | None:
    if item.currency != CURRENCY:
        return f"its currency is {item.currency!r}, the books are in {CURRENCY}"
    if item.to_month < item.from_month:
        return f"it ends in {item.to_month}, before it begins in {item.from_month}"
    if item.from_month <= closed_month:
        return f"it begins in {item.from_month}, and the books are closed up to {closed_month}"
    if item.kind is ItemKind.TAX:
        is_right = item.amount_micro_usd == 0 and 0 < item.rate_ppm <= TAX_PPM_MAX
        wanted = f"wanted 1 to {TAX_PPM_MAX:,}"
        return None if is_right else f"its rate is {item.rate_ppm} parts per million, {wanted}"
    if item.rate_ppm or not 0 < item.amount_micro_usd <= AMOUNT_MICRO_USD_MAX:
        return f"its amount is {item.amount_micro_usd} micro-USD, wanted more than 0"
    return None


@dataclass(frozen=True, slots=True)
class Effect:
    """What the items do to one month; amounts in micro-USD, all 0 or more.

    Fields:
        bought: commitments that begin, and are paid.
        short: what is missing of minimums.
        drawn: what commitments pay of the month.
        credited: what credits pay of it.
        taxes: by item.
        lost: what is left of commitments that end; it is nobody's to draw any more.
    """

    bought: Mapping[ContractItem, int] = field(default_factory=dict)
    short: Mapping[ContractItem, int] = field(default_factory=dict)
    drawn: Mapping[ContractItem, int] = field(default_factory=dict)
    credited: Mapping[ContractItem, int] = field(default_factory=dict)
    taxes: Mapping[ContractItem, int] = field(default_factory=dict)
    lost: Mapping[ContractItem, int] = field(default_factory=dict)

    def used(self) -> dict[str, int]:
        """What of each item is used up by this month."""
        found: dict[str, int] = {}
        for amounts in (self.drawn, self.credited, self.lost):
            for item, amount in amounts.items():
                found[item.item_id] = found.get(item.item_id, 0) + amount
        return found


def effect_of(
    items: Iterable[ContractItem],
    used: Mapping[str, int],
    month: str,
    charged_micro_usd: int,
    late_micro_usd: int = 0,
) -> Effect:
    """What the items of one organisation do to a month.

    Args:
        items: of any time; those of other months do nothing.
        used: micro-USD of each item that earlier months used, by its id.
        month: ``YYYY-MM``.
        charged_micro_usd: what the month's charges come to, 0 or more.
        late_micro_usd: what is charged for earlier months now, 0 or more: it is paid like the
            rest, and fills no minimum of this month.
    """
    assert min(charged_micro_usd, late_micro_usd) >= 0, "charges are not negative"
    live = _in_force(items, month)
    of_kind = {kind: [item for item in live if item.kind is kind] for kind in ItemKind}
    short = _short(of_kind[ItemKind.MINIMUM], charged_micro_usd)
    owed = charged_micro_usd + sum(short.values()) + late_micro_usd
    commitments = of_kind[ItemKind.COMMITMENT]
    drawn = _taken(commitments, used, owed)
    owed -= sum(drawn.values())
    credited = _taken(of_kind[ItemKind.CREDIT], used, owed)
    owed -= sum(credited.values())
    bought = {i: i.amount_micro_usd for i in commitments if i.from_month == month}
    base = owed + sum(bought.values())
    lost = {
        item: left
        for item in commitments
        if item.to_month == month
        and (left := item.amount_micro_usd - used.get(item.item_id, 0) - drawn.get(item, 0))
    }
    taxes = {i: t for i in of_kind[ItemKind.TAX] if (t := half_up(base * i.rate_ppm, PPM))}
    return Effect(bought, short, drawn, credited, taxes, lost)


def short_of(
    items: Iterable[ContractItem], month: str, charged_micro_usd: int
) -> dict[ContractItem, int]:
    """What the charges of a month miss of each minimum that was agreed for it, in micro-USD."""
    minimums = [item for item in _in_force(items, month) if item.kind is ItemKind.MINIMUM]
    return _short(minimums, charged_micro_usd)


def _in_force(items: Iterable[ContractItem], month: str) -> list[ContractItem]:
    """Items of a month; what ends first is used first."""
    return sorted(
        (item for item in items if item.is_in_force(month)),
        key=lambda item: (item.to_month, item.from_month, item.item_id),
    )


def _short(minimums: Sequence[ContractItem], charged: int) -> dict[ContractItem, int]:
    """What each minimum misses; what is charged fills them one after the other."""
    found: dict[ContractItem, int] = {}
    for item in minimums:
        filled = min(item.amount_micro_usd, charged)
        charged -= filled
        if item.amount_micro_usd > filled:
            found[item] = item.amount_micro_usd - filled
    return found


def _taken(
    items: Sequence[ContractItem], used: Mapping[str, int], owed: int
) -> dict[ContractItem, int]:
    """What each item pays of ``owed``, one after the other."""
    found: dict[ContractItem, int] = {}
    for item in items:
        paid = min(owed, item.amount_micro_usd - used.get(item.item_id, 0))
        assert paid >= 0, f"{item.item_id} is drawn beyond its amount"
        if paid:
            found[item] = paid
            owed -= paid
    return found
