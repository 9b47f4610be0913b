"""Goal: every node is on the map once, in its rack, in its colour, and nothing can break the file.

Method: the geometry is measured (no two cells overlap, all lie in their racks); the SVG is parsed
as XML; the glyphs are counted; the PNG's size is read back. Ids are hostile where ids can be.
"""

import struct
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.app.fleet_png import write_fleet_png
from gigawatt.errors import InputError
from gigawatt.fleet.demo import hgx_fleet, nvl72_fleet
from gigawatt.fleet.drawing.floor import floor_of
from gigawatt.fleet.drawing.paint import (
    CLUSTER_COLOURS,
    STATE_COLOURS,
    NodeState,
    NodeView,
    Paint,
    paint_nodes,
)
from gigawatt.fleet.drawing.svg import fleet_svg
from gigawatt.fleet.drawing.text import fleet_text
from gigawatt.fleet.model import Fleet, Racks

SVG = "{http://www.w3.org/2000/svg}"
FREE = NodeView(NodeState.FREE)


def held(cluster: str) -> NodeView:
    return NodeView(NodeState.HELD, cluster, "ten_a")


def paint(fleet: Fleet, views: dict[int, NodeView]) -> Paint:
    return paint_nodes(fleet.nodes.ids, [views.get(i, FREE) for i in range(len(fleet.nodes))])


def draw(fleet: Fleet, painted: Paint, title: str = "map") -> ET.Element:
    text = fleet_svg(fleet, painted.colour_of_node, painted.legend, title, painted.tooltip_of_node)
    return ET.fromstring(text)  # noqa: S314 - our own text


@settings(max_examples=20, deadline=None)
@given(nodes=st.integers(1, 200), racks=st.integers(1, 12), is_hgx=st.booleans())
def test_cells_lie_apart_and_inside_their_racks(nodes: int, racks: int, is_hgx: bool) -> None:
    fleet = hgx_fleet(nodes * 8) if is_hgx else nvl72_fleet(racks)
    floor = floor_of(fleet)
    x, y, width, height = floor.node_boxes.T
    rack_x, rack_y, rack_width, rack_height = floor.rack_boxes[fleet.nodes.rack].T
    assert (x >= rack_x).all()
    assert (x + width <= rack_x + rack_width + 1e-9).all()
    assert (y >= rack_y).all()
    assert (y + height <= rack_y + rack_height + 1e-9).all()
    assert len({(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)}) == len(fleet.nodes)
    assert (x + width).max() <= floor.width
    assert (y + height).max() <= floor.height


@pytest.mark.parametrize("gpus", [10_000, 100_000])
def test_the_plan_is_about_as_wide_as_high(gpus: int) -> None:
    floor = floor_of(hgx_fleet(gpus))
    assert 0.7 < floor.width / floor.height < 3.5


def test_far_apart_floor_numbers_do_not_stretch_the_plan() -> None:
    fleet = hgx_fleet(64)
    racks = fleet.racks
    row = (np.arange(len(racks)) * 1_000_000).astype(np.int32)
    wide = replace(
        fleet, racks=Racks(racks.ids, racks.hall, racks.feed, row, row.copy(), racks.power_w_max)
    )
    assert floor_of(wide).width < 1_000


def test_every_node_has_its_tooltip_and_colour() -> None:
    fleet = hgx_fleet(512)
    painted = paint(fleet, {3: held("clu_x"), 5: NodeView(NodeState.QUARANTINED)})
    root = draw(fleet, painted)
    colour_of = {
        box.findtext(f"{SVG}title"): group.get("fill")
        for group in root.iter(f"{SVG}g")
        for box in group.iter(f"{SVG}rect")
        if box.find(f"{SVG}title") is not None
    }
    assert len(colour_of) == len(fleet.nodes)
    assert (
        colour_of[f"{fleet.nodes.ids[3]}, held, cluster clu_x, tenant ten_a"] == CLUSTER_COLOURS[0]
    )
    assert colour_of[f"{fleet.nodes.ids[5]}, quarantined"] == "#111111"
    labels = [text.text for text in root.iter(f"{SVG}text")]
    assert "clu_x (1 node)" in labels
    assert "h-r0000" in labels


@given(evil=st.text(max_size=40))
def test_no_name_can_break_the_file(evil: str) -> None:
    fleet = hgx_fleet(8)
    view = NodeView(NodeState.HELD, f"c{evil}", evil)
    draw(fleet, paint(fleet, {0: view}), title=evil)


def test_markup_in_a_name_stays_text() -> None:
    fleet = hgx_fleet(8)
    root = draw(fleet, paint(fleet, {0: held('</title><script a="1">&')}))
    assert not list(root.iter(f"{SVG}script"))


@pytest.mark.parametrize(
    ("colours", "tooltips", "words"),
    [
        (["#12345"], ["a"], "is not #rrggbb"),
        (['#123456"/>'], ["a"], "is not #rrggbb"),
        ([], ["a"], "got 0 colours, wanted 1"),
        (["#123456"], [], "got 0 tooltips, wanted 1"),
    ],
)
def test_what_is_no_colour_is_refused(colours: list[str], tooltips: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        fleet_svg(hgx_fleet(8), colours, [], "t", tooltips)
    with pytest.raises(InputError, match="of legend entry"):
        fleet_svg(hgx_fleet(8), ["#123456"], [("red", "x")], "t")


MACHADO_2009 = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
SRGB_TO_XYZ_D65 = np.array(
    [
        [0.4124 / 0.9505, 0.3576 / 0.9505, 0.1805 / 0.9505],
        [0.2126, 0.7152, 0.0722],
        [0.0193 / 1.0888, 0.1192 / 1.0888, 0.9505 / 1.0888],
    ]
)


def lab(colour: str, vision: str) -> np.ndarray:
    """CIE 1976 L*a*b* of "#rrggbb" as someone sees it."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = SRGB_TO_XYZ_D65 @ np.clip(np.array(MACHADO_2009[vision]) @ linear, 0, 1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", MACHADO_2009)
def test_colours_differ_for_everybody(vision: str) -> None:
    seen = [lab(c, vision) for c in CLUSTER_COLOURS]
    greys = [lab(c, vision) for c in STATE_COLOURS.values()]
    pairs = [*combinations(seen, 2), *((a, b) for a in seen for b in greys)]
    assert min(np.linalg.norm(a - b) for a, b in pairs) >= 19
    assert min(np.linalg.norm(a - b) for a, b in combinations(greys, 2)) >= 15


def test_twelve_clusters_differ_and_more_share_by_hash() -> None:
    fleet = hgx_fleet(160)
    painted = paint(fleet, {i: held(f"clu_{i}") for i in range(20)})
    assert len(set(painted.colour_of_node[:12])) == 12
    assert set(painted.colour_of_node) == set(CLUSTER_COLOURS)
    assert {s.glyph.isupper() for s in painted.swatch_of_node[12:]} == {False}
    assert ("#FFFFFF", "8 more clusters, colours shared (8 nodes)") in painted.legend


def glyphs(fleet: Fleet, painted: Paint, *, width: int = 100) -> list[str]:
    return ["".join(cell.text for cell in row) for row in fleet_text(fleet, painted, width=width)]


@pytest.mark.parametrize(
    ("gpus", "width"), [(8, 40), (10_000, 40), (10_000, 100), (100_000, 100), (1_000_000, 100)]
)
def test_rows_fit_the_width(gpus: int, width: int) -> None:
    fleet = hgx_fleet(gpus)
    painted = paint(fleet, {0: NodeView(NodeState.SPARE, "clu_a" * 40)})
    assert max(map(len, glyphs(fleet, painted, width=width))) <= width


def test_ten_thousand_gpus_show_every_node_on_one_screen() -> None:
    fleet = hgx_fleet(10_000)
    rows = glyphs(fleet, paint(fleet, {7: held("clu_a"), 9: NodeView(NodeState.DRAINED)}))
    assert len(rows) <= 40
    assert sum(row.count("·") for row in rows[1:-2]) == len(fleet.nodes) - 2
    assert rows[1].startswith("h-su000 ·······A·-·")


@pytest.mark.parametrize("gpus", [100_000, 1_000_000])
def test_the_worst_node_of_a_cell_is_seen(gpus: int) -> None:
    fleet = hgx_fleet(gpus)
    order = [NodeState.SPARE, NodeState.HELD, NodeState.DRAINED, NodeState.QUARANTINED]
    for glyph, upto in zip("+A-x", range(1, 5), strict=True):
        views = {i: NodeView(state, "clu_a") for i, state in enumerate(order[:upto])}
        rows = glyphs(fleet, paint(fleet, views))
        assert rows[1].split()[1].startswith(f"{glyph}·")


def test_styles_name_the_state_or_the_cluster() -> None:
    fleet = hgx_fleet(64)
    rows = fleet_text(fleet, paint(fleet, {0: held("clu_a"), 1: NodeView(NodeState.SPARE)}))
    assert [cell.style_name for cell in rows[1]] == ["label", "held-0", "spare", "free"]


def test_a_paint_of_another_fleet_is_refused() -> None:
    painted = paint(hgx_fleet(8), {})
    with pytest.raises(InputError, match="paint is of 1 nodes"):
        fleet_text(hgx_fleet(16), painted)
    with pytest.raises(InputError, match="at least 40"):
        fleet_text(hgx_fleet(8), painted, width=10)


def test_a_png_is_written(tmp_path: Path) -> None:
    fleet = hgx_fleet(10_000)
    painted = paint(fleet, {0: held("$clu_")})
    path = tmp_path / "map.png"
    write_fleet_png(fleet, painted.colour_of_node, painted.legend, "a $ title_", path)
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert 1_000 < max(width, height) <= 4_000
