"""Goal: whatever happens to a fleet's file, reading it gives a flawless fleet or one InputError.

Method: hypothesis deletes, repeats, swaps or alters lines, scalars and characters of good files
(tables and blocks), or feeds any text at all. Any other exception fails.
"""

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.fleet.block import BlockSpec
from gigawatt.fleet.builder import build_fleet
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.yaml_format import dump_fleet, load_fleet

TABLES = dump_fleet(
    build_fleet(
        "tiny",
        [
            BlockSpec(
                "s1",
                "US",
                "h1",
                HGX_H100,
                4,
                "h",
                "ib0",
                nodes_per_rack=2,
                nodes_per_leaf_group=2,
                leaf_groups_per_pod=1,
                radix=4,
                storage_bytes=1 << 40,
            )
        ],
    )
)
BLOCKS = """\
schema: gigawatt/fleet/1
name: demo
blocks:
- {site_id: s1, country: US, hall_id: h1, node_type: hgx-h100, node_count: 16, node_prefix: h,
   fabric_id: ib0, nodes_per_rack: 4, nodes_per_domain: 1, nodes_per_leaf_group: 8,
   leaf_groups_per_pod: 2, radix: 16, storage_bytes: 10, racks_per_row: 4}
- {site_id: s2, country: SE, hall_id: h2, node_type: gb200-nvl72, node_count: 18, node_prefix: g,
   fabric_id: e0, fabric_kind: roce, nodes_per_rack: 18, nodes_per_domain: 18,
   nodes_per_leaf_group: 18, radix: 64}
"""
GOOD = st.sampled_from([TABLES, TABLES, BLOCKS])

SCALARS = st.one_of(
    st.sampled_from(
        [
            "", "~", "null", "true", "0", "-1", "1", "2", "3", "15", "2147483647", "2147483648",
            "-2147483649", "9223372036854775808", "18446744073709551616", "1" * 50, "1.5", "1e999",
            ".nan", ".inf", "-.inf", "1e-400", "0x", "0b_", "0x_", "0o17", "12:30", "2024-13-45",
            "a", "h-r0000", "ib0-leaf0000:1", "ib0-core0000:1", "s1", "[]", "{}", "[[]]", "{a: b}",
            "*x", "&x y", "!!int x", "!!binary x", "<<", "=", "'", '"', "[", "]", "{", "}", ",",
            ":", "- ", "? ", "| ", "> ", "%", "@", "`", "\t", "\x00", "\ud800", "\u2028", "\ufeff",
        ]
    ),
    st.text(max_size=8),
    st.integers(-5, 50).map(str),
)  # fmt: skip


def read(text: str) -> None:
    """Read the text; only InputError may come of it, in one line that names the file."""
    try:
        fleet = load_fleet(text, "fleet.yaml")
    except InputError as error:
        message = str(error)
        assert message.startswith("fleet.yaml line ")
        assert len(message) < 2_000
        assert "\n" not in message
    else:
        assert check_fleet(fleet) == ()
        dump_fleet(fleet)


FUZZ = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))


@FUZZ
@given(GOOD, st.data())
def test_altered_scalars(good, data):
    for _ in range(data.draw(st.integers(1, 3))):
        spots = list(re.finditer(r"[^\s,:{}\[\]]+", good))
        spot = data.draw(st.sampled_from(spots))
        good = good[: spot.start()] + data.draw(SCALARS) + good[spot.end() :]
    read(good)


@FUZZ
@given(GOOD, st.data())
def test_lines_deleted_repeated_or_swapped(good, data):
    lines = good.splitlines()
    row = st.integers(0, len(lines) - 1)
    for _ in range(data.draw(st.integers(1, 3))):
        one, other = data.draw(row), data.draw(row)
        match data.draw(st.sampled_from(["delete", "repeat", "swap"])):
            case "delete":
                lines[one] = ""
            case "repeat":
                lines[one] = f"{lines[one]}\n{lines[one]}"
            case _:
                lines[one], lines[other] = lines[other], lines[one]
    read("\n".join(lines))


@FUZZ
@given(GOOD, st.data())
def test_characters_cut_out_or_put_in(good, data):
    start = data.draw(st.integers(0, len(good)))
    end = min(len(good), start + data.draw(st.integers(0, 30)))
    read(good[:start] + data.draw(st.text(max_size=5)) + good[end:])


@FUZZ
@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@,?. \n\t01~<="), max_size=60))
def test_any_text(text):
    read(text)


@FUZZ
@given(st.text(max_size=60))
def test_any_unicode(text):
    read(text)
