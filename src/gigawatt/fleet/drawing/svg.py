"""The fleet map as one SVG file: a floor plan with a cell per node, for a browser or a page."""

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from gigawatt.errors import InputError
from gigawatt.fleet.drawing.floor import Floor, Word, floor_of
from gigawatt.fleet.drawing.legend import LEGEND_SIZE, SWATCH, legend_positions
from gigawatt.fleet.drawing.paint import CLUSTER_COLOURS
from gigawatt.fleet.model import Fleet

WIDTH_MIN = 480.0
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters outside XML 1.0, section 2.2: no escape makes them legal."""
_STYLE = (
    "text{font-family:Helvetica,Arial,sans-serif;fill:#333}"
    ".r{fill:none;stroke:#8A9299;stroke-width:1}"
    ".n{stroke:#8A9299;stroke-width:.5}"
    ".t{font-weight:bold;fill:#111}"
)


def _text(value: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", value), {'"': "&quot;"})


def _num(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _word(word: Word, shift: float) -> str:
    style = ' class="t"' if word.is_title else ""
    return (
        f'<text x="{_num(word.x)}" y="{_num(word.y + shift)}" font-size="{_num(word.size)}"'
        f"{style}>{_text(word.text)}</text>"
    )


def _cells(
    floor: Floor, colour_of_node: Sequence[str], tooltip_of_node: Sequence[str], shift: float
) -> list[str]:
    """Boxes of nodes in groups of one colour, which keeps a large file small."""
    of_colour: dict[str, list[str]] = {}
    for (x, y, width, height), colour, tooltip in zip(
        floor.node_boxes.tolist(), colour_of_node, tooltip_of_node, strict=True
    ):
        of_colour.setdefault(colour, []).append(
            f'<rect x="{_num(x)}" y="{_num(y + shift)}" width="{_num(width)}" '
            f'height="{_num(height)}"><title>{_text(tooltip)}</title></rect>'
        )
    out = []
    for colour, boxes in of_colour.items():
        out += [f'<g class="n" fill="{colour}">', *boxes, "</g>"]
    return out


def check_colours(fleet: Fleet, colour_of_node: Sequence[str]) -> None:
    """Nothing, when there is one "#rrggbb" for each node of the fleet.

    Raises:
        InputError: there are too few or too many, or one is not a colour.
    """
    if len(colour_of_node) != len(fleet.nodes):
        raise InputError(
            f"got {len(colour_of_node)} colours, wanted {len(fleet.nodes)}, one a node"
        )
    for colour in set(colour_of_node):
        if not _COLOUR.fullmatch(colour):
            raise InputError(f"colour {colour!r} is not #rrggbb, e.g. {CLUSTER_COLOURS[0]}")


def fleet_svg(
    fleet: Fleet,
    colour_of_node: Sequence[str],
    legend: Sequence[tuple[str, str]],
    title: str,
    tooltip_of_node: Sequence[str] | None = None,
) -> str:
    """The map as SVG text: valid XML, light background, a tooltip on every node.

    Args:
        fleet: what is drawn.
        colour_of_node: N colours "#rrggbb".
        legend: (colour, label) pairs, drawn above the plan.
        title: heading.
        tooltip_of_node: N texts that a browser shows on a node; the node ids when None.

    Raises:
        InputError: a colour is not "#rrggbb", or a sequence is not N long.
    """
    check_colours(fleet, (*colour_of_node,))
    tooltips = fleet.nodes.ids if tooltip_of_node is None else tooltip_of_node
    if len(tooltips) != len(fleet.nodes):
        raise InputError(f"got {len(tooltips)} tooltips, wanted {len(fleet.nodes)}, one a node")
    floor = floor_of(fleet)
    width = max(floor.width, WIDTH_MIN)
    places, shift = legend_positions(legend, width)
    size = (_num(width), _num(floor.height + shift))
    extent = f'width="{size[0]}" height="{size[1]}"'
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" {extent}>',
        f"<title>{_text(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect {extent} fill="#FFFFFF"/>',
        _word(Word(24.0, 28.0, 17.0, title, is_title=True), 0.0),
    ]
    for (x, y), (colour, label) in zip(places, legend, strict=True):
        if not _COLOUR.fullmatch(colour):
            raise InputError(f"colour {colour!r} of legend entry {label!r} is not #rrggbb")
        out.append(
            f'<rect x="{_num(x)}" y="{_num(y)}" width="{_num(SWATCH)}" height="{_num(SWATCH)}" '
            f'class="n" fill="{colour}"/>'
        )
        out.append(_word(Word(x + SWATCH + 5.0, y + 9.5, LEGEND_SIZE, label), 0.0))
    out += _cells(floor, colour_of_node, tooltips, shift)
    out.append('<g class="r">')
    out += [
        f'<rect x="{_num(x)}" y="{_num(y + shift)}" width="{_num(w)}" height="{_num(h)}"/>'
        for x, y, w, h in floor.rack_boxes.tolist()
    ]
    out.append("</g>")
    out += [_word(word, shift) for word in floor.words]
    out.append("</svg>")
    return "\n".join(out) + "\n"
