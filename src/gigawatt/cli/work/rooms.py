"""What the floor can still take: power by feed, GPUs that are free and cannot be given, nodes."""

from functools import partial

from gigawatt.cli.options import Format
from gigawatt.cli.output import console, count_of, paragraph, show_document, show_list, table
from gigawatt.cli.work.connect import PAGE_LIMIT, connected
from gigawatt.cli.work.floor import node_listing
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc

RACKS_SHOWN_MAX = 10
"""Racks that a table of power shows, the fullest first. Ours."""


def show_power(form: Format) -> None:
    """Show feeds and the fullest racks: their limits, what may be drawn, what GPUs report."""
    with connected() as connection:
        found = connection.client.get_fleet_power()
    if form is not Format.TABLE:
        show_document(found, form)
        return
    _show_places("feed", found.feeds, len(found.feeds))
    console.print("")
    _show_places("rack", found.racks, RACKS_SHOWN_MAX)
    console.print("")
    paragraph(_source_words(found.source))


def _show_places(kind: str, places: "list[doc.FeedPower] | list[doc.RackPower]", most: int) -> None:
    ordered = sorted(places, key=lambda one: (-_worst(one), one.id))
    table(
        (kind, "limit", "held may draw", "of limit", "all may draw", "GPUs report", "nodes"),
        [_cells(one) for one in ordered[:most]],
    )
    if len(ordered) > most:
        console.print(f"and {len(ordered) - most:,} more; see -o json")


def _worst(one: doc.PlacePower) -> float:
    return max(one.held_w_max, one.gpu_w or 0.0) / one.limit_w


def _cells(one: doc.PlacePower) -> tuple[str, ...]:
    reported = "" if one.gpu_w is None else _kw(one.gpu_w)
    share = f"{100 * _worst(one):.1f} %"
    return (one.id, _kw(one.limit_w), _kw(one.held_w_max), share, _kw(one.all_w_max), reported,
            f"{one.node_count:,}")  # fmt: skip


def _kw(power_w: float) -> str:
    return f"{power_w / 1000:,.1f} kW"


def _source_words(source: doc.LoadSource) -> str:
    if source.state == "none":
        return (
            "what may be drawn is that of the catalogue; no GPU reports its power, because no"
            " source is named in GIGAWATT_TELEMETRY"
        )
    if source.read_at is None:
        why = f": {source.reason}" if source.reason else " yet"
        return f"nothing is known of what GPUs report{why}"
    said = f"{count_of(source.reporting_gpu_count, 'GPU')} reported at {source.read_at:%H:%M:%S}"
    return f"{said} UTC, made up by the source" if source.is_simulated else f"{said} UTC"


def show_stranded(form: Format) -> None:
    """Show free GPUs by what they are of use for, and what would free more of them."""
    with connected() as connection:
        found = connection.client.get_stranded()
    if form is not Format.TABLE:
        show_document(found, form)
        return
    for number, one in enumerate(found.types):
        if number:
            console.print("")
        _show_type(one)


def _show_type(one: doc.TypeRoom) -> None:
    paragraph(
        f"{one.gpu_type} at {one.site_id} ({one.node_type}): {one.placeable_gpu_count:,} of"
        f" {one.gpu_count:,} GPUs can be given, {one.part_gpu_count:,} of them on nodes of which"
        f" another part is taken; {one.held_gpu_count:,} held, {one.promised_gpu_count:,} kept for"
        f" reservations, {one.leaving_gpu_count:,} on their way back, {one.out_gpu_count:,} out of"
        " service"
    )
    table(
        ("GPUs", "fits now", "stranded in part", "too few together", "asked in vain"),
        [
            (f"{s.gpu_count:,}", f"{s.fit_count:,}", f"{s.in_part_gpu_count:,}",
             f"{s.too_few_gpu_count:,}", f"{s.asked_count:,}")
            for s in one.sizes
        ],
    )  # fmt: skip
    if one.emptied:
        paragraph("whole again if what is on them moves, the least first:")
        table(
            ("node", "to move", "held by", "gains", "to"),
            [
                (e.node_id, f"{e.moved_gpu_count}", ", ".join(e.cluster_names),
                 f"{e.gained_gpu_count}", ", ".join(e.to_node_ids))
                for e in one.emptied
            ],
        )  # fmt: skip
    if one.out_node_count:
        paragraph(f"{count_of(one.out_node_count, 'node')} out of service and held by nobody:")
        table(
            ("node", "state", "why"),
            [(n.node_id, n.state, n.state_reason) for n in one.out_nodes],
        )


def find(text: str, form: Format, *, quiet: bool) -> None:
    """List the nodes that have something to do with a text."""
    with connected() as connection:
        wanted = doc.NodeFilter(text=text, limit=PAGE_LIMIT)
        found = list(connection.client.pages(partial(calls.list_nodes, wanted)))
        show_list(found, form, node_listing(connection, f"nothing matches {text!r}"), quiet=quiet)
