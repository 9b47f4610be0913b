"""Goal: partitions.conf says what it was told, and one that does not is never taken for ours.

Method: random partitions are rendered and read back; random bytes of the text are changed, cut off
or doubled, and texts are sealed again after an edit, so that not only the checksum is asked; the
rules of a call are asked without a fabric.
"""

import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.boundary.entries import DEFAULT_P_KEY, ComputePort, PartitionMember
from gigawatt.drivers.opensm import rules
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.drivers.opensm.partitions_conf import (
    LINE_BYTES_MAX,
    IbPartition,
    IbPartitions,
    parse_partitions,
    render_partitions,
)
from gigawatt.errors import DataError, DriverPermanentError
from gigawatt.ids import ClusterId, FabricId
from gigawatt.interfaces.driver import Fence

FABRIC = FabricId("ib0")
names = st.from_regex(r"clu_[a-z0-9]{1,20}", fullmatch=True).map(ClusterId)
members = st.dictionaries(
    st.integers(0, 2**64 - 1), st.sampled_from(["full", "limited"]), min_size=1, max_size=20
)
partitions = st.builds(
    IbPartitions,
    st.just(FABRIC),
    st.dictionaries(
        st.integers(1, DEFAULT_P_KEY - 1), st.builds(IbPartition, names, members), max_size=5
    ),
    st.dictionaries(names, st.integers(0, 2**63 - 1), max_size=5),
    st.frozensets(st.integers(0, 2**64 - 1), max_size=8),
)


@given(partitions)
def test_what_is_written_is_read(value: IbPartitions) -> None:
    text = render_partitions(value)
    assert parse_partitions(text, FABRIC) == value
    assert max(map(len, text.splitlines())) <= LINE_BYTES_MAX


@given(partitions, st.data())
def test_any_changed_or_missing_byte_is_found(value: IbPartitions, data: st.DataObject) -> None:
    text = render_partitions(value)
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.characters(max_codepoint=127).filter(lambda c: c != text[at]))
    for wrong in (
        text[:at] + byte + text[at + 1 :],
        text[:at] + text[at + 1 :],
        text[:at],
        text[: at + 1] + byte + text[at + 1 :],
        text + byte,
    ):
        if wrong == text:
            continue
        with pytest.raises(DataError, match=r"partitions\.conf"):
            parse_partitions(wrong, FABRIC)


def test_ten_thousand_ports_keep_every_line_short() -> None:
    ports = {0xFFFF_0000_0000_0000 + i: "limited" for i in range(10_000)}
    owner = ClusterId("c" * 100)
    value = IbPartitions(FABRIC, {DEFAULT_P_KEY - 1: IbPartition(owner, ports)}, {owner: 2**63 - 1})
    text = render_partitions(value)
    assert max(len(line) for line in text.splitlines()) <= LINE_BYTES_MAX < 4_095
    assert parse_partitions(text, FABRIC) == value


def sealed(body: str) -> str:
    """A text with a right checksum, as a program would make that knows our form."""
    return body + f"# sha256 {hashlib.sha256(body.encode()).hexdigest()} of all lines above\n"


HEAD = "# gigawatt partitions 1 of fabric ib0\n"
DEFAULT = "Default=0x7fff : ALL=limited, SELF=full ;\n"
A, B = "0x0000000000000001=full", "0x0000000000000002=limited"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "does not begin with"),
        (HEAD.replace("ib0", "ib1") + DEFAULT, "does not begin with"),
        (HEAD, "wanted 'Default=0x7fff"),
        (HEAD + "Default=0x7fff : ALL=full ;\n", "wanted 'Default=0x7fff"),
        (HEAD + "# fence b 1\n# fence a 1\n" + DEFAULT, "out of order"),
        (HEAD + "# fence a 1\n# fence a 2\n" + DEFAULT, "doubled"),
        (HEAD + DEFAULT + "x=0x0010 \n", "wanted 'CLUSTER"),
        (HEAD + DEFAULT + f"x=0x7fff :\n {A} ;\n", "P_Key is 0x7fff"),
        (HEAD + DEFAULT + f"x=0x0000 :\n {A} ;\n", "P_Key is 0x0000"),
        (HEAD + DEFAULT + f"x=0x0011 :\n {A} ;\nx=0x0010 :\n {A} ;\n", "does not rise"),
        (HEAD + DEFAULT + "x=0x0010 :\n ALL=full ;\n", "up to eight"),
        (HEAD + DEFAULT + f"x=0x0010 :\n {A},\n", "up to eight"),
        (HEAD + DEFAULT + f"x=0x0010 :\n {A}\n", "up to eight"),
        (HEAD + DEFAULT + f"x=0x0010 :\n {B}, {A} ;\n", "out of order"),
        (HEAD + DEFAULT + f"x=0x0010 :\n {', '.join([A] * 9)} ;\n", "up to eight"),
        (HEAD + DEFAULT + f"x=0x0010 :\r\n {A} ;\n", "form that we write"),
    ],
)
def test_what_is_sealed_but_not_of_our_form_is_refused(body: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse_partitions(sealed(body), FABRIC)


def test_an_empty_file_is_named() -> None:
    with pytest.raises(DataError, match="is empty"):
        parse_partitions("", FABRIC)


@given(partitions)
@settings(max_examples=30)
def test_tables_hold_the_default_partition_limited_and_nothing_unasked(value: IbPartitions) -> None:
    expected: dict[int, set[int]] = {}
    for p_key, partition in value.by_p_key.items():
        for guid, how in partition.members.items():
            expected.setdefault(guid, {0x7FFF}).add(p_key + (0x8000 if how == "full" else 0))
    assert value.tables() == expected


def entry(p_key: int, guid: int = 1) -> PartitionMember:
    return PartitionMember(FABRIC, p_key, guid, "full")


FULL = IbPartitions(
    FABRIC, {k: IbPartition(ClusterId("clu_a"), {1: "full"}) for k in range(1, 32)}, {}
)


@pytest.mark.parametrize(
    ("before", "wanted", "cluster", "words"),
    [
        (FULL, entry(0), "clu_a", "wanted 0x0001 to 0x7ffe"),
        (FULL, entry(DEFAULT_P_KEY), "clu_a", "wanted 0x0001 to 0x7ffe"),
        (FULL, entry(0x8001), "clu_a", "wanted 0x0001 to 0x7ffe"),
        (FULL, entry(1, 99), "clu_a", "has no NIC 0x0000000000000063"),
        (FULL, entry(1, 2), "clu_b", "partition 0x0001 is held by clu_a"),
        (FULL, entry(64), "clu_a", r"table of 0x0000000000000001 is full \(32\)"),
    ],
)
def test_what_is_refused(before, wanted, cluster, words) -> None:
    reason = rules.refuses_ensure(before, (wanted,), ClusterId(cluster), {1, 2})
    assert reason is not None
    assert re.search(words, reason)


@pytest.mark.parametrize(
    "fence",
    [
        Fence(ClusterId("a b"), 1),
        Fence(ClusterId(""), 1),
        Fence(ClusterId("x=0x7fff : ALL=full ;\n#"), 1),
        Fence(ClusterId("c" * 101), 1),
        Fence(ClusterId("clu_a"), -1),
        Fence(ClusterId("clu_a"), 10**19),
    ],
)
def test_no_cluster_writes_a_line_of_its_own(fence) -> None:
    with pytest.raises(DriverPermanentError, match="cannot name a partition"):
        rules.refuse_fence(entry(1).device, FULL, fence)


def test_what_fits_is_not_refused() -> None:
    assert rules.refuses_ensure(FULL, (entry(31), entry(64, 2)), ClusterId("clu_a"), {1, 2}) is None
    device = entry(1).device
    assert rules.refuses_entries(device, [entry(1), entry(1)]) is None
    twice = PartitionMember(FABRIC, 1, 1, "limited")
    assert "twice" in str(rules.refuses_entries(device, [entry(1), twice]))
    assert "RoCE" in str(rules.refuses_entries(device, [ComputePort(FABRIC, 7, 1)]))


def test_a_lost_file_is_not_made_up_anew(tmp_path) -> None:
    file = ConfFile(tmp_path / "partitions.conf", FABRIC)
    assert file.lay_down()
    assert not file.lay_down()
    value = rules.ensured(file.read(), (entry(5),), Fence(ClusterId("clu_a"), 3))
    file.write(value)
    assert file.read() == file.read_kept() == value
    file.path.unlink()
    with pytest.raises(DataError, match="is gone"):
        file.lay_down()
    with pytest.raises(DataError, match="not as it was written") as caught:
        file.read()
    assert "diff" in caught.value.next_step
