"""Utilisation: tables of shares, states and money, and their picture."""

from datetime import UTC, datetime
from pathlib import Path

from gigawatt.cli.options import Format
from gigawatt.cli.output import console, moment, paragraph, show_document, table
from gigawatt.cli.work.connect import connected
from gigawatt.cli.work.usage import moment_ms
from gigawatt.errors import InputError
from gigawatt.money import format_usd
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc


def show(
    window: tuple[str | None, str | None],
    by: doc.UtilisationBy,
    form: Format,
    plot: Path | None,
) -> None:
    """Show utilisation of a window, and draw it if wanted."""
    from_ms, to_ms = (None if text is None else moment_ms(text) for text in window)
    with connected() as connection:
        call = calls.get_utilisation(from_ms=from_ms, to_ms=to_ms, by=by)
        found = connection.client.send(call)
    if plot is not None:
        _draw(found, plot)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    paragraph(f"utilisation from {moment(found.from_ms / 1000)} to {moment(found.to_ms / 1000)}")
    table(
        (by, "gpu-hours", "used", "paid", "dollars", "revenue", "a gpu-hour", "its cost",
         "one more point"),
        [_shares(row, by) for row in found.rows],
    )  # fmt: skip
    console.print("")
    states = [state.state for state in found.rows[0].states] if found.rows else []
    table(
        (f"gpu-hours by {by}", *states),
        [(_name(row, by), *(f"{s.gpu_hours:,.1f}" for s in row.states)) for row in found.rows],
    )
    _say_stranded(found)


def _name(row: doc.UtilisationRow, by: doc.UtilisationBy) -> str:
    if by != "hour":
        return row.key
    return datetime.fromtimestamp(int(row.key) / 1000, UTC).strftime("%Y-%m-%d %H:00")


def _shares(row: doc.UtilisationRow, by: doc.UtilisationBy) -> tuple[str, ...]:
    return (
        _name(row, by),
        f"{row.capacity_gpu_hours:,.1f}",
        f"{100 * row.used_share:.1f} %",
        f"{100 * row.paid_share:.1f} %",
        f"{100 * row.dollar_share:.1f} %",
        format_usd(row.revenue_micro_usd),
        f"${row.revenue_usd_per_gpu_hour:.3f}",
        f"${row.cost_usd_per_gpu_hour:.3f}",
        format_usd(row.point_micro_usd),
    )


def _say_stranded(found: doc.Utilisation) -> None:
    in_part, too_few = found.stranded_in_part_gpu_hours, found.stranded_too_few_gpu_hours
    if in_part or too_few:
        console.print("")
        paragraph(
            f"stranded: {in_part:,.1f} GPU-hours on nodes of which another part was taken,"
            f" {too_few:,.1f} where too few were together"
        )
    if found.asked_in_vain:
        console.print("")
        table(
            ("asked in vain", "GPUs", "requests", "GPUs in all"),
            [
                (a.gpu_type, f"{a.gpu_count:,}", f"{a.request_count:,}", f"{a.wanted_gpu_count:,}")
                for a in found.asked_in_vain
            ],
        )


def _draw(found: doc.Utilisation, path: Path) -> None:
    """Shares of states and revenue a GPU-hour, row by row (PNG).

    Raises:
        InputError: the picture cannot be written.
    """
    from gigawatt.app.economics_figure import LOSS, PALETTE, bare, save, sheet  # noqa: PLC0415

    figure = sheet(9.0, 5.4)
    upper, lower = (
        figure.add_axes((0.09, 0.5, 0.74, 0.43)),
        figure.add_axes((0.09, 0.14, 0.74, 0.28)),
    )
    at = range(len(found.rows))
    bottom = [0.0] * len(found.rows)
    colours = (*PALETTE[:3], "#E09F3E", LOSS, "#6D597A", "#E6E6E6")
    for number, state in enumerate(found.rows[0].states if found.rows else []):
        shares = [100 * row.states[number].gpu_hours / row.capacity_gpu_hours for row in found.rows]
        upper.bar(at, shares, 0.9, bottom, color=colours[number], label=state.state)
        bottom = [low + share for low, share in zip(bottom, shares, strict=True)]
    upper.set(ylabel="GPU-hours (%)", ylim=(0, 100), xticks=[])
    upper.legend(fontsize=7.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    lower.bar(at, [row.revenue_usd_per_gpu_hour for row in found.rows], 0.9, color=PALETTE[1])
    lower.step(at, [row.cost_usd_per_gpu_hour for row in found.rows], where="mid", color=LOSS)
    lower.set(ylabel="USD a GPU-hour")
    every = max(1, len(found.rows) // 8)
    lower.set_xticks(list(at)[::every], [_name(row, found.by) for row in found.rows[::every]])
    lower.tick_params(axis="x", labelrotation=20)
    for axes in (upper, lower):
        bare(axes)
    try:
        save(figure, "bars: what GPUs were in, and revenue; line: full cost", path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
