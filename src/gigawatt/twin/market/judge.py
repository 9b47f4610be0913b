"""The judge of a market replay: GPU-hours and money are found again in ways that share no code.

Where a replay says that it was judged, all of this held: the amounts of every line are those of the
event log to the micro-dollar, the ledger is whole and sums to zero, what utilisation says was
earned is what the meter says before any rounding, and states sum to the fleet to the millisecond.
"""

from collections.abc import Iterable, Iterator

from gigawatt.errors import DataError
from gigawatt.ids import SiteId
from gigawatt.market.ledger import balances, check_books
from gigawatt.market.utilisation import Stretch, UtilisationRow, Worth, utilisation, whole
from gigawatt.twin.market.books import CREDIT
from gigawatt.twin.market.recompute import differences, recompute
from gigawatt.twin.market.replay import MarketOutcome
from gigawatt.twin.scene import START_S


def fleet_time(outcome: MarketOutcome) -> tuple[Stretch, ...]:
    """What every GPU was in at every moment, idle ones too.

    Raises:
        DataError: more GPUs are in some state than there are.
    """
    fleet = outcome.fleet
    place = fleet.node_types[0].gpu_type, SiteId(fleet.sites.ids[0])
    return whole(outcome.stretches, {place: fleet.gpu_count}, 0, outcome.span_ms)


def total_row(outcome: MarketOutcome, worth: Worth) -> UtilisationRow:
    """Utilisation of the whole fleet over the whole replay."""
    gpu_type = outcome.fleet.node_types[0].gpu_type
    (row,) = utilisation(fleet_time(outcome), {gpu_type: worth})
    return row


def judge(outcome: MarketOutcome, log: Iterable[str]) -> None:
    """Refuse a replay in which two ways to the same number differ.

    Args:
        outcome: what is judged.
        log: lines of its event log.

    Raises:
        DataError: the first difference, and how many there are.
    """
    found = (*differences(recompute(log, START_S), outcome.posted), *_wrong(outcome))
    if found:
        seed = outcome.settings.seed
        raise DataError(f"market replay of seed {seed}: {len(found)} differences: {found[0]}")


def _wrong(outcome: MarketOutcome) -> Iterator[str]:
    check_books(outcome.entries)
    sums = balances(outcome.entries)
    if sum(sums.values()):
        yield f"the ledger sums to {sum(sums.values())} micro-USD"
    owed = sum(amount for name, amount in sums.items() if name.startswith("Assets:Receivable"))
    lines = sum(-v if key[2] == CREDIT else v for key, v in outcome.posted.items())
    if owed != lines:
        yield f"tenants owe {owed} micro-USD by the ledger, {lines} by their invoices"
    earned = sum(stretch.rated for stretch in fleet_time(outcome))
    metered = sum(-v if key[2] == CREDIT else v for key, v in outcome.rated.items())
    if earned != metered:
        yield f"utilisation says {earned} micro-USD ms/h were earned, the meter {metered}"
    gpu_ms = sum(stretch.gpu_ms for stretch in fleet_time(outcome))
    there = outcome.fleet.gpu_count * outcome.span_ms
    if gpu_ms != there:
        yield f"states sum to {gpu_ms} GPU-ms, and there were {there}"
