"""The waterfall as a spreadsheet that computes: everything below CFADS is a formula.

Sheet ``Terms`` holds rates, covenants and shares; sheet ``Waterfall`` one column a period. What is
earned, spent, drawn and scheduled are values, and all that follows are formulas over them: change a
term or a revenue and interest, tax, reserves, tests, sweeps and distributions follow. The last row
compares with what was computed here and is 0 until something is changed.

In a formula ``[key]`` is the row of that key in this column, ``[key-]`` in the column before (0
before the first), ``[key:N]`` the last N columns after the draw window, ``<key>`` a term.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from gigawatt.app.underwriting.term_sheet import NOTE, InputRow
from gigawatt.economics.finance.cases import F64, I64
from gigawatt.economics.finance.operations import MONTHS_PER_YEAR
from gigawatt.economics.finance.underwriting import Outcome, Underwriting
from gigawatt.money import MICRO_USD_PER_USD

FIRST_COLUMN = 4
"""Column D: A is the key, B the label, C the unit."""
FIRST_ROW = 4
_REFERENCE = re.compile(r"\[(\w+)(-|:\w+)?\]|<(\w+)>")


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the sheet: values, or a formula for every column."""

    key: str
    label: str
    values: Sequence[float] | None = None
    formula: str = ""
    is_last_only: bool = False


def _usd(row: I64) -> list[float]:
    return [int(value) / MICRO_USD_PER_USD for value in row]


def _value_lines(signed: Underwriting, outcome: Underwriting | Outcome) -> Iterator[Line]:
    made, row, columns = outcome.operations, outcome.waterfall, signed.deal.period_count + 1
    for key, label, values in (
        ("offtake", "Revenue under contract", made.offtake[0]),
        ("on_demand", "Revenue on demand", made.on_demand[0]),
        ("tail", "Revenue after contracts", made.tail[0]),
        ("sale", "Sale of retired assets", made.sale[0]),
        ("opex", "Opex", made.opex[0]),
        ("electricity", "Electricity", made.electricity[0]),
        ("replacement", "Replacement of failed GPUs", made.replacement[0]),
        ("capex", "Assets paid", row.capex[0]),
        ("fees", "Fees", signed.loan.fees),
        ("depreciation", "Tax depreciation", signed.capital.tax_depreciation),
        ("dsra_target", "Debt service reserve, target", signed.loan.dsra_target),
        (
            "reserve_target",
            "Replacement reserve, target",
            _reserve_target(signed, made.replacement[0]),
        ),
    ):
        yield Line(key, label, _usd(values))
    worth = np.zeros((2, columns), np.int64)
    worth[:, -1] = made.liquidation[0, -1], made.horizon_value[0]
    yield Line("liquidation", "Liquidation value at the horizon", _usd(worth[0]))
    yield Line("horizon_value", "The owner's value at the horizon", _usd(worth[1]))
    for number, schedule in enumerate(signed.loan.schedules):
        yield Line(f"draw{number}", f"Draws, {schedule.name}", _usd(schedule.draws))
        yield Line(
            f"scheduled{number}", f"Scheduled principal, {schedule.name}", _usd(schedule.principal)
        )
        yield Line(f"mature{number}", f"Matured, {schedule.name}", _matured(schedule.principal))
    yield Line("window", "In the draw window", _flags(columns, signed.deal.window_periods + 1))
    yield Line("last", "At the horizon", [0.0] * (columns - 1) + [1.0])


def _flags(columns: int, count: int) -> list[float]:
    return [1.0] * count + [0.0] * (columns - count)


def _matured(principal: I64) -> list[float]:
    last = int(np.max(np.nonzero(principal)[0], initial=0))
    return [float(column >= last) for column in range(len(principal))]


def _reserve_target(signed: Underwriting, replacement: I64) -> I64:
    ahead = int(signed.deal.reserves.replacement_ahead.value) // signed.deal.period_months
    target = np.zeros_like(replacement)
    for column in range(signed.deal.window_periods + 1, len(replacement)):
        target[column] = replacement[column + 1 : column + 1 + ahead].sum()
    return target


def _sum(key: str, count: int, suffix: str = "") -> str:
    return "(" + "+".join(f"[{key}{number}{suffix}]" for number in range(count)) + ")"


def _shared(paid: str, due: Sequence[str]) -> Iterator[str]:
    """Formulas that split ``paid`` over one or two dues, whole at the micro-dollar."""
    if len(due) == 1:
        yield paid
        return
    whole = f"MAX({due[0]}+{due[1]},0.000001)"
    first = f"MIN(MAX(ROUND({paid}*{due[0]}/{whole},6),{paid}-{due[1]}),{due[0]})"
    yield first
    yield f"{paid}-({first})"


def _earning_lines(count: int) -> Iterator[Line]:
    yield Line("revenue", "Revenue", formula="[offtake]+[on_demand]+[tail]")
    for n in range(count):
        yield Line(f"interest{n}", f"Interest {n + 1}", formula=f"ROUND([balance{n}-]*<rate{n}>,6)")
    interest = _sum("interest", count)
    yield Line("interest_due", "Interest due", formula=interest)
    yield Line("running", "Before tax", formula="[revenue]-[opex]-[electricity]-[replacement]")
    profit = "[running]+[sale]-[interest_due]-[fees]-[depreciation]"
    yield Line("profit", "Taxable before losses", formula=profit)
    used = "MIN([losses-],ROUNDDOWN(MAX([profit],0)*<loss_use>,6))"
    yield Line("used", "Losses used", formula=used)
    yield Line("losses", "Losses left", formula="[losses-]-[used]+MAX(-[profit],0)")
    yield Line("tax", "Tax", formula="ROUND((MAX([profit],0)-[used])*<tax>,6)")
    running = "MAX([profit]-[sale],0)"
    used = f"MIN([losses-],ROUNDDOWN({running}*<loss_use>,6))"
    taxed = f"ROUND(({running}-{used})*<tax>,6)"
    yield Line("running_tax", "Tax without sales", formula=taxed)
    yield Line("cfads", "CFADS", formula="[running]-[running_tax]")
    yield Line(
        "from_reserve", "From the replacement reserve", formula="MIN([reserve-],[replacement])"
    )
    yield Line("cash_a", "Cash before costs", formula="[cash-]+[revenue]+[sale]+[from_reserve]")
    costs = "[payables-]+[opex]+[electricity]+[replacement]+[tax]"
    yield Line("costs_due", "Costs and tax due", formula=costs)
    draws = _sum("draw", count)
    need = f"[capex]+[fees]+[costs_due]+[interest_due]+[dsra_target]-[cash_a]-[dsra-]-{draws}"
    yield Line("equity", "Money of the owner", formula=f"[window]*MAX(0,{need})")
    funded = f"[cash_a]+[window]*({draws}+[equity]-[capex]-[fees])"
    yield Line("cash_b", "Cash after assets", formula=funded)
    yield Line("costs_paid", "Costs and tax paid", formula="MIN([costs_due],[cash_b])")
    yield Line("cash_c", "Cash for lenders", formula="[cash_b]-[costs_paid]")


def _lender_lines(count: int) -> Iterator[Line]:
    yield Line("interest_paid", "Interest paid", formula="MIN([interest_due],[cash_c]+[dsra-])")
    yield Line("cash_d", "Cash for principal", formula="[cash_c]-MIN([interest_paid],[cash_c])")
    left = "[dsra-]-([interest_paid]-MIN([interest_paid],[cash_c]))"
    yield Line("dsra_a", "Reserve after interest", formula=left)
    shares = _shared("[interest_paid]", [f"[interest{n}]" for n in range(count)])
    for n, share in enumerate(shares):
        grown = f"[balance{n}-]+[draw{n}]+[interest{n}]-({share})"
        yield Line(f"owed{n}", f"Balance {n + 1} before principal", formula=grown)
        yield Line(f"plan{n}", f"On schedule {n + 1}", formula=f"MIN([owed{n}],[scheduled{n}])")
        due = f"IF([mature{n}]=1,[owed{n}],MIN([owed{n}],[plan{n}]+[arrears{n}-]))"
        yield Line(f"due{n}", f"Principal due {n + 1}", formula=f"(1-[window])*{due}")
    yield Line("principal_due", "Principal due", formula=_sum("due", count))
    yield Line("principal_paid", "Principal paid", formula="MIN([principal_due],[cash_d]+[dsra_a])")
    yield Line("cash_e", "Cash for reserves", formula="[cash_d]-MIN([principal_paid],[cash_d])")
    left = "[dsra_a]-([principal_paid]-MIN([principal_paid],[cash_d]))"
    yield Line("dsra_b", "Reserve after principal", formula=left)
    for n, share in enumerate(_shared("[principal_paid]", [f"[due{n}]" for n in range(count)])):
        yield Line(f"left{n}", f"Balance {n + 1} before sweep", formula=f"[owed{n}]-({share})")
        yield Line(f"arrears{n}", f"Arrears {n + 1}", formula=f"[due{n}]-({share})")


def _owner_lines(count: int, lookback: int) -> Iterator[Line]:
    yield Line("owed_now", "Debt before sweep", formula=_sum("left", count))
    target = "IF(AND([owed_now]>0,[last]=0),[dsra_target],0)"
    yield Line("dsra_want", "Debt service reserve wanted", formula=target)
    change = "MAX(MIN([dsra_want]-[dsra_b],[cash_e]),-[dsra_b])"
    yield Line("dsra", "Debt service reserve", formula=f"[dsra_b]+{change}")
    yield Line("cash_f", "Cash after that reserve", formula="[cash_e]+[dsra_b]-[dsra]")
    kept = "([reserve-]-[from_reserve])"
    change = f"MAX(MIN([reserve_target]-{kept},[cash_f]),-{kept})"
    yield Line("reserve", "Replacement reserve", formula=f"{kept}+{change}")
    free = f"([cash_f]+{kept}-[reserve])"
    late = f"MIN([costs_due]-[costs_paid],{free})"
    yield Line("costs_late", "Late costs paid out of reserves", formula=late)
    yield Line("cash_g", "Cash after both reserves", formula=f"{free}-[costs_late]")
    yield Line("service", "Debt service", formula=f"[interest_due]+{_sum('plan', count)}")
    yield Line(
        "dscr",
        "Cover of the look-back",
        formula=f"IF(OR([window]=1,SUM([service:{lookback}])<=0),1000000,"
        f"SUM([cfads:{lookback}])/MAX(SUM([service:{lookback}]),0.000001))",
    )
    missed = f"OR([interest_paid]<[interest_due]-0.0000005,{_sum('arrears', count)}>0.0000005)"
    failed = f"IF([window]=1,0,IF(OR({missed},AND([owed_now]>0,[dscr]<<default>)),1,0))"
    yield Line("defaulted", "In default", formula=failed)
    low = "AND([owed_now]>0,OR([dscr]<<lock_up>,[dsra]<[dsra_want]-0.0000005))"
    yield Line("locked", "In lock-up", formula=f"IF([window]=1,0,IF(OR({low},[defaulted]=1),1,0))")
    free = "IF([defaulted]=1,[cash_g],IF([locked]=1,0,ROUND([cash_g]*<sweep>,6)))"
    yield Line("sweep", "Cash sweep", formula=f"(1-[window])*MIN({free},[owed_now])")
    yield Line("paid_out", "Distribution of the period",
               formula="IF(OR([window]=1,[locked]=1),0,[cash_g]-[sweep])")  # fmt: skip
    for n, share in enumerate(_shared("[sweep]", [f"[left{n}]" for n in range(count)])):
        yield Line(f"rest{n}", f"Balance {n + 1} after sweep", formula=f"[left{n}]-({share})")


def _horizon_lines(count: int) -> Iterator[Line]:
    yield Line("rest", "Debt after sweep", formula=_sum("rest", count))
    chosen = "[last]*IF([rest]>0,[liquidation],[horizon_value])"
    yield Line("residual", "Sold at the horizon", formula=chosen)
    held = "[cash_g]-[sweep]-[paid_out]+[residual]"
    yield Line("recovered", "Recovered by lenders", formula=f"[last]*MIN([rest],{held})")
    gain = "([residual]-<basis>)"
    used = f"MIN([losses],ROUNDDOWN(MAX({gain},0)*<loss_use>,6))"
    tax = f"ROUND((MAX({gain},0)-{used})*<tax>,6)"
    yield Line("exit_tax", "Tax on what is sold", formula=f"[last]*MIN({tax},{held}-[recovered])")
    after = f"{held}-[recovered]-[exit_tax]"
    owed = "([costs_due]-[costs_paid]-[costs_late])"
    yield Line("late", "Late costs paid", formula=f"[last]*MIN({owed},{after})")
    yield Line("payables", "Costs not paid", formula=f"{owed}-[late]")
    yield Line("cash", "Cash", formula=f"(1-[last])*({held})")
    for n, share in enumerate(_shared("[recovered]", [f"[rest{n}]" for n in range(count)])):
        yield Line(f"balance{n}", f"Balance {n + 1}", formula=f"[rest{n}]-({share})")
    yield Line("debt", "Debt", formula=_sum("balance", count))
    final = f"[paid_out]+[last]*({after}-[late])"
    yield Line("distribution", "Distribution", formula=final)


def _terms(
    signed: Underwriting, outcome: Underwriting | Outcome, shift: F64
) -> dict[str, tuple[str, float]]:
    deal = signed.deal
    part = deal.period_months / MONTHS_PER_YEAR
    terms = {
        f"rate{n}": (f"Interest of a period, {s.name}", (s.rate_per_year + float(shift[0])) * part)
        for n, s in enumerate(signed.loan.schedules)
    }
    basis = outcome.waterfall.capex[0].sum() - signed.capital.tax_depreciation.sum()
    return {
        **terms,
        "tax": ("Tax rate", deal.taxes.rate.value / 100.0),
        "loss_use": ("Share of profit that losses offset", deal.taxes.loss_use.value / 100.0),
        "sweep": ("Cash sweep", deal.terms.sweep.value / 100.0),
        "lock_up": ("Lock-up cover", deal.covenants.lock_up.value),
        "default": ("Default cover", deal.covenants.default.value),
        "basis": ("Tax value left at the horizon, USD", int(basis) / MICRO_USD_PER_USD),
    }


class _Sheet:
    """Turns lines into cells, with references resolved."""

    def __init__(
        self, lines: Sequence[Line], terms: Sequence[str], columns: int, window: int
    ) -> None:
        self.letter = get_column_letter
        self.columns, self.window = columns, window
        self.rows = {line.key: FIRST_ROW + number for number, line in enumerate(lines)}
        self.terms = {key: number + 2 for number, key in enumerate(terms)}

    def cell(self, key: str, column: int) -> str:
        return f"{self.letter(FIRST_COLUMN + column)}{self.rows[key]}"

    def formula(self, text: str, column: int) -> str:
        def resolve(found: re.Match[str]) -> str:
            key, mark, term = found.groups()
            if term:
                return f"Terms!$C${self.terms[term]}"
            if mark == "-":
                return self.cell(key, column - 1) if column else "0"
            if mark:
                first = max(min(column, self.window + 1), column - int(mark[1:]) + 1)
                return f"{self.cell(key, first)}:{self.cell(key, column)}"
            return self.cell(key, column)

        return "=" + _REFERENCE.sub(resolve, text)


def write_workbook(
    signed: Underwriting, inputs: Sequence[InputRow], path: Path, outcome: Outcome | None = None,
    base_rate_shift: F64 | None = None,
) -> None:  # fmt: skip
    """Write the workbook to ``path``.

    Args:
        signed: deal and loan.
        inputs: every number of the deal and its origin.
        path: file to write; it is replaced.
        outcome: what to show in place of the plan; its first case.
        base_rate_shift: float64[1] of that case, as in ``Cases``.
    """
    shown = outcome or signed
    count = len(signed.loan.schedules)
    lookback = int(signed.deal.covenants.lookback.value) // signed.deal.period_months
    lines = [
        *_value_lines(signed, shown),
        *_earning_lines(count),
        *_lender_lines(count),
        *_owner_lines(count, lookback),
        *_horizon_lines(count),
        Line("computed", "Distribution as computed by gw", _usd(shown.waterfall.distribution[0])),
        Line("difference", "Difference", formula="ROUND([distribution]-[computed],4)"),
    ]
    terms = _terms(signed, shown, np.zeros(1) if base_rate_shift is None else base_rate_shift)
    book = Workbook()
    _fill_terms(book, terms)
    _fill_waterfall(book.create_sheet("Waterfall"), signed, lines, list(terms))
    _fill_inputs(book.create_sheet("Inputs"), inputs)
    book.save(path)


def _fill_terms(book: Workbook, terms: dict[str, tuple[str, float]]) -> None:
    sheet = book.active
    sheet.title = "Terms"
    sheet.append(["key", "term", "value"])
    for key, (label, value) in terms.items():
        sheet.append([key, label, value])
    sheet.append([])
    sheet.append([None, NOTE])
    sheet.column_dimensions["B"].width = 48
    sheet.column_dimensions["C"].width = 16


def _fill_waterfall(
    sheet: Worksheet, signed: Underwriting, lines: Sequence[Line], terms: Sequence[str]
) -> None:
    deal = signed.deal
    columns = deal.period_count + 1
    writer = _Sheet(lines, terms, columns, deal.window_periods)
    sheet["A1"] = deal.name
    sheet["A1"].font = Font(bold=True)
    sheet["A2"] = "Amounts in USD. Blue numbers are values; black ones are formulas."
    sheet.cell(row=FIRST_ROW - 1, column=2, value="Month from close")
    for column in range(columns):
        sheet.cell(FIRST_ROW - 1, FIRST_COLUMN + column, column * deal.period_months)
    for line in lines:
        row = writer.rows[line.key]
        sheet.cell(row, 1, line.key)
        sheet.cell(row, 2, line.label)
        is_flag = line.key in {"window", "last", "locked", "defaulted"} or "mature" in line.key
        is_plain = is_flag or line.key == "dscr"
        sheet.cell(row, 3, "" if is_plain else "USD")
        for column in range(columns):
            cell = sheet.cell(row, FIRST_COLUMN + column)
            if line.values is None:
                cell.value = writer.formula(line.formula, column)
            else:
                cell.value = line.values[column]
                cell.font = Font(color="0000CC")
            cell.number_format = "0" if is_flag else "0.00" if is_plain else "#,##0;[Red]-#,##0;-"
    sheet.freeze_panes = sheet.cell(FIRST_ROW, FIRST_COLUMN)
    sheet.column_dimensions["A"].width = 16
    sheet.column_dimensions["B"].width = 36
    for column in range(columns):
        sheet.column_dimensions[writer.letter(FIRST_COLUMN + column)].width = 15


def _fill_inputs(sheet: Worksheet, inputs: Sequence[InputRow]) -> None:
    sheet.append(["field", "value", "unit", "source"])
    for row in inputs:
        sheet.append([row.field, row.value, row.unit, row.source or "illustrative"])
    for letter, width in (("A", 44), ("B", 40), ("C", 14), ("D", 60)):
        sheet.column_dimensions[letter].width = width
