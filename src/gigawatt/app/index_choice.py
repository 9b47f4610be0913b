"""What an index report is asked for, in plain values: judgements, days, terms, rates, weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from math import inf, isfinite, log

from gigawatt.app.index_report import Choice
from gigawatt.economics.index.quote import Term
from gigawatt.economics.index.sensitivity import CELL_PRICES
from gigawatt.economics.index.settings import OPEN_GATES, Gates, Settings
from gigawatt.errors import InputError

RATE_MAX = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """Every judgement that a caller may change; see ``Gates`` and ``Settings``.

    Fields: min_providers, min_matched share and max_dispersion, below or above which a value is
    withheld; cell_price, "median" or "geometric_mean"; outlier_factor, below which a move is no
    outlier, 0 keeps all; open_gates, whether nothing is withheld.
    """

    min_providers: int = 3
    min_matched: float = 0.5
    max_dispersion: float = 0.45
    cell_price: str = "median"
    outlier_factor: float = 2.0
    open_gates: bool = False

    def settings(self) -> Settings:
        """The settings of the index.

        Raises:
            InputError: a judgement is out of range; it is named.
        """
        for known in CELL_PRICES:
            if self.cell_price == known:
                cell_price = known
                break
        else:
            wanted = " or ".join(CELL_PRICES)
            raise InputError(f"{self.cell_price!r} is no cell price", next_step=f"Write {wanted}.")
        factor = self.outlier_factor
        if factor and not 1 < factor < inf:
            raise InputError(
                f"outlier factor is {factor}, wanted more than 1, or 0",
                next_step="Write 2 for a doubling or halving, 0 to keep every move.",
            )
        gates = Gates(
            provider_count_min=self.min_providers,
            matched_ratio_min=self.min_matched,
            dispersion_max=self.max_dispersion,
        )
        settings = Settings(gates=gates, cell_price=cell_price)
        if factor:
            settings = replace(settings, outlier_log_min=log(factor))
        else:
            settings = replace(settings, outlier_mad_limit=inf)
        return replace(settings, gates=OPEN_GATES) if self.open_gates else settings


def rate_micro_usd(currency: str, number: str) -> int:
    """Micro-USD for one unit of a currency.

    Raises:
        InputError: the currency is no ISO 4217 code, or the rate no number above 0.

    Example:
        >>> rate_micro_usd("EUR", "1.08")
        1080000
    """
    try:
        rate = Decimal(number)
    except InvalidOperation:
        rate = Decimal(0)
    is_code = len(currency) == 3 and currency.isascii() and currency.isupper()
    if not (is_code and rate.is_finite() and 0 < rate < RATE_MAX):
        raise InputError(
            f"'{currency}={number}' is no rate", next_step="Write e.g. EUR=1.08, USD for one."
        )
    return round(rate * 1_000_000)


def weight_of(term: str, number: str) -> tuple[Term, float]:
    """Term and GPU-hours of the stated basket.

    Raises:
        InputError: not a term, or no number of 0 or more.

    Example:
        >>> weight_of("on_demand", "60")[1]
        60.0
    """
    try:
        weight = (Term(term), float(number))
    except ValueError:
        weight = (Term.ON_DEMAND, -1.0)
    if not (weight[1] >= 0 and isfinite(weight[1])):
        raise InputError(f"'{term}={number}' is no weight", next_step="Write e.g. on_demand=60.")
    return weight


def day_of(text: str | None) -> date | None:
    """A day from ``2026-02-19``; None for None.

    Raises:
        InputError: not a day.
    """
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError as error:
        raise InputError(f"{text!r} is no day", next_step="Write e.g. 2026-02-19.") from error


def choice_of(
    gpus: Sequence[str], terms: Sequence[str], since: str | None, until: str | None
) -> Choice:
    """What of the file is wanted.

    Raises:
        InputError: a term or a day is none.
    """
    try:
        known = tuple(Term(text) for text in terms)
    except ValueError as error:
        names = ", ".join(term.value for term in Term)
        raise InputError(f"{error}", next_step=f"Terms: {names}.") from error
    return Choice(gpus=tuple(gpus), terms=known, first_day=day_of(since), last_day=day_of(until))
