"""Goal: an ``opensm.conf`` or ``partitions.conf`` that gives a tenant's host a hold is named.

Method: what we render is clean, and OpenSM itself (``opensm -c``) reads it as it was meant; then
every rule has one change that must break it and no other, on files of ours and on the manual's
own examples.
"""

import subprocess
from pathlib import Path

import pytest

from gigawatt.drivers.opensm.hygiene import (
    OPTION_RULES,
    SubnetKeys,
    lint_options,
    render_options,
)
from gigawatt.drivers.opensm.hygiene_partitions import PARTITION_RULES, lint_partitions
from gigawatt.drivers.opensm.partitions_conf import IbPartition, IbPartitions, render_partitions
from gigawatt.errors import InputError
from gigawatt.ids import ClusterId, FabricId
from gigawatt.lab.fabric import TOOL_PATH, missing_tools

KEYS = SubnetKeys(0x1122334455667788, 0x2233445566778899, 0x33445566778899AA)
PATH = Path("/var/lib/gigawatt/partitions.conf")
CLEAN = render_options(KEYS, PATH, [0x10, 0x11])
NVIDIA = render_options(KEYS, PATH, [0x10, 0x11], build="nvidia")


def rules(text: str, **more: object) -> set[str]:
    return {finding.rule for finding in lint_options(text, partitions_conf=PATH, **more)}


def test_what_we_render_is_clean():
    assert rules(CLEAN) == set()
    assert rules(NVIDIA, build="nvidia") == set()


def with_line(name: str, value: str, text: str = CLEAN) -> str:
    lines = [line for line in text.splitlines() if line.split()[0] != name]
    return "\n".join([*lines, f"{name} {value}"]) + "\n"


@pytest.mark.parametrize(
    ("rule", "name", "value"),
    [
        ("m_key", "m_key", "0x0000000000000000"),
        ("m_key_protection", "m_key_protection_level", "0"),
        ("m_key_protection", "m_key_protection_level", "1"),
        ("m_key_lease", "m_key_lease_period", "0"),
        ("m_key_lease", "m_key_lease_period", "29"),
        ("sm_key", "sm_key", "0x0000000000000001"),
        ("sa_key", "sa_key", "1"),
        ("weak_key", "sa_key", f"{KEYS.sm_key:#x}"),
        ("weak_key", "m_key", "0x1234"),
        ("partition_enforcement", "part_enforce", "out"),
        ("partition_enforcement", "no_partition_enforcement", "TRUE"),
        ("both_p_keys", "allow_both_pkeys", "TRUE"),
        ("partitions_file", "partition_config_file", "/etc/opensm/partitions.conf"),
        ("other_managers", "ignore_other_sm", "TRUE"),
        ("console", "console", "socket"),
        ("allowed_managers", "allowed_sm_guids", "0x10"),
        ("m_key_per_port", "m_key_per_port", "TRUE"),
    ],
)
def test_each_option_rule_finds_its_own_fault_and_no_other(rule, name, value):
    assert rules(with_line(name, value)) == {rule}
    found = lint_options(with_line(name, value), partitions_conf=PATH)[0]
    assert found.line in {0, len(CLEAN.splitlines()), len(CLEAN.splitlines()) + 1} or found.line > 0


def test_a_manager_that_never_sweeps_is_found():
    silent = with_line("sweep_on_trap", "FALSE", with_line("sweep_interval", "0"))
    assert rules(silent) == {"sweep"}
    assert rules(with_line("sweep_interval", "0")) == set()


def test_options_of_nvidias_build_are_wanted_there():
    assert rules(CLEAN, build="nvidia") == {"allowed_managers", "m_key_per_port"}


def test_every_option_rule_is_broken_by_a_silent_file_or_a_test_above():
    silent = rules("")
    assert silent == {
        "m_key",
        "m_key_protection",
        "m_key_lease",
        "sm_key",
        "sa_key",
        "partitions_file",
    }
    assert set(OPTION_RULES) >= silent


def test_findings_name_the_line_and_never_a_key():
    text = with_line("m_key_protection_level", "0")
    found = lint_options(text, partitions_conf=PATH)[0]
    assert text.splitlines()[found.line - 1] == "m_key_protection_level 0"
    weak = lint_options(with_line("m_key", "0xdead"), partitions_conf=PATH)
    assert "dead" not in str(weak)
    assert f"{KEYS.m_key:x}" not in repr(KEYS)


@pytest.mark.parametrize(
    "keys", [(1 << 40, 1 << 40, 1 << 41), (5, 1 << 40, 1 << 41), (1 << 64, 1 << 40, 1 << 41)]
)
def test_keys_that_guard_nothing_are_refused(keys):
    with pytest.raises(InputError):
        SubnetKeys(*keys)


@pytest.mark.parametrize(("guids", "sweep"), [([], 10), ([1], 0)])
def test_a_subnet_has_a_manager_that_sweeps(guids, sweep):
    with pytest.raises(InputError):
        render_options(KEYS, PATH, guids, sweep_interval_s=sweep)


@pytest.mark.ibsim
@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed")
@pytest.mark.parametrize("is_ours", [True, False])
def test_opensm_reads_what_we_render_as_it_was_meant(tmp_path, is_ours):
    (tmp_path / "in.conf").write_text(CLEAN if is_ours else "")
    words = ["opensm", "-F", "in.conf", "-c", str(tmp_path / "out.conf")]
    said = subprocess.run(
        words, cwd=tmp_path, env={"PATH": TOOL_PATH}, capture_output=True, text=True, check=False
    )
    read_back = (tmp_path / "out.conf").read_text()
    assert "PARSE ERROR" not in said.stdout + said.stderr
    assert len(read_back.splitlines()) > 600
    assert rules(read_back) == (set() if is_ours else rules(""))


PARTITIONS = """# by hand
Default=0x7fff : ALL=limited, SELF=full ;
one=0x10 : 0x0002c90300000001=full, 0x0002c90300000002=limited ;
two=0x11, ipoib : 0x0002c90300000003=full,
  0x0002c90300000004=full ;
"""


def broken(text: str) -> set[str]:
    return {finding.rule for finding in lint_partitions(text)}


def test_a_file_by_hand_and_one_of_ours_can_be_clean():
    assert broken(PARTITIONS) == set()
    members = {0x2C90300000000 + n: "full" for n in range(100)}
    by_p_key = {0x10: IbPartition(ClusterId("clu_a"), members)}
    assert broken(render_partitions(IbPartitions(FabricId("ib0"), by_p_key))) == set()


MANY = "".join(f"p{n}={n:#x} : 0x0002c90300000001=full ;\n" for n in range(0x20, 0x3F))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("empty_file", " \n"),
        ("long_line", PARTITIONS + "#" + "x" * 4_095 + "\n"),
        ("unended", PARTITIONS.rstrip().rstrip(";")),
        ("no_p_key", PARTITIONS + "three : 0x0002c90300000005=full ;\n"),
        ("p_key_range", PARTITIONS + "three=0x8012 : 0x0002c90300000005=full ;\n"),
        ("p_key_twice", PARTITIONS + "three=0x10 : 0x0002c90300000005=full ;\n"),
        ("open_default", PARTITIONS.replace("ALL=limited", "ALL=full")),
        ("open_default", PARTITIONS.replace("=0x7fff :", "=0x7fff, defmember=full : ALL,")),
        ("everybody", PARTITIONS + "three=0x12 : ALL_CAS=limited ;\n"),
        ("both", PARTITIONS.replace("0002=limited", "0002=both")),
        ("unread_member", PARTITIONS.replace("0x0002c90300000002=limited", "node7=full")),
        ("unsaid_membership", PARTITIONS.replace("0002=limited", "0002=ful")),
        ("full_table", PARTITIONS + MANY),
    ],
)
def test_each_partition_rule_finds_its_own_fault_and_no_other(rule, text):
    assert rule in PARTITION_RULES
    assert broken(text) == {rule}


def test_the_manuals_open_example_is_found_open():
    assert broken("Default=0x7fff : ALL=full ;\n") == {"open_default"}
    assert broken("Default=0x7fff,ipoib:\n mgid=ff12:401b::0707,sl=1\n ALL=full;\n") == {
        "open_default"
    }
    assert broken("Default=0x7fff : ALL, ALL_SWITCHES=full, SELF=full ;\n") == set()


def test_lines_are_those_of_the_file():
    text = PARTITIONS + "\n\nthree=0x12 :\n ALL=full ;\n"
    assert [finding.line for finding in lint_partitions(text)] == [8]
