"""The waterfall as CSV: one row a period, amounts in dollars to the micro-dollar."""

import csv
import io
from dataclasses import fields

import numpy as np

from gigawatt.economics.finance.underwriting import Underwriting
from gigawatt.economics.finance.waterfall import Waterfall
from gigawatt.money import MICRO_USD_PER_USD


def usd(amount_micro_usd: int) -> str:
    """Dollars with six decimals.

    Example:
        >>> usd(-1_500_000)
        '-1.500000'
    """
    whole, part = divmod(abs(amount_micro_usd), MICRO_USD_PER_USD)
    return f"{'-' if amount_micro_usd < 0 else ''}{whole}.{part:06d}"


def waterfall_csv(signed: Underwriting) -> str:
    """The plan; ``month`` is counted from close, and row 0 is close itself."""
    names = [item.name for item in fields(Waterfall)]
    heads = []
    for name in names:
        kind = getattr(signed.waterfall, name).dtype
        unit = "_usd" if kind == np.int64 else "_ratio" if kind == np.float64 else ""
        heads.append(name + unit)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["month", *heads])
    for column in range(signed.deal.period_count + 1):
        cells: list[str] = [str(column * signed.deal.period_months)]
        for name in names:
            value = getattr(signed.waterfall, name)[0, column]
            if isinstance(value, np.int64):
                cells.append(usd(int(value)))
            elif isinstance(value, np.float64):
                cells.append(f"{value:.6f}" if np.isfinite(value) else "")
            else:
                cells.append(str(int(value)))
        writer.writerow(cells)
    return stream.getvalue()
