"""Goal: what is asked of a lab is checked before anything starts, and said with what to do.

Method: specs of every size, folders in a temporary home, and machines that lack something; nothing
is started.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.cli.main import main
from gigawatt.errors import ConflictError, DataError, InputError
from gigawatt.fleet.check import check_fleet
from gigawatt.lab import launch
from gigawatt.lab.fabric import subnets_of
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.folder import LabFolder, LabKeys, LabStatus, PartStatus, lab_folders
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.parts import install_line, packages_missing, parts_of
from gigawatt.lab.processes import kill_all, pids_of
from gigawatt.lab.running import missing_packages

SPEC = LabSpec()
STATUS = LabStatus(SPEC, "http://127.0.0.1:1", 0.0, parts=(PartStatus("fabric"),))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GIGAWATT_HOME", str(tmp_path))
    monkeypatch.setenv("GIGAWATT_CONFIG", str(tmp_path / "profiles.toml"))
    return tmp_path


class NeedsMore:
    """A part that needs a program which is nowhere."""

    name = "more"
    package_of_tool = {"no-such-program": "a-package", "sh": "dash"}  # noqa: RUF012


def said(capsys, *words):
    """Exit status and what went to standard error."""
    try:
        main(list(words))
    except SystemExit as end:
        return end.code, capsys.readouterr().err
    return 0, capsys.readouterr().err


# --- fleet ------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 64))
def test_a_lab_of_any_size_is_a_sound_fleet_with_a_place_for_every_node(node_count):
    spec = LabSpec(node_count=node_count)
    fleet = lab_fleet(spec)
    assert not check_fleet(fleet)
    layout = Layout(spec, fleet)
    ports = {
        (layout.leaf_of(node), layout.leaf_port(node, slot))
        for node in range(node_count)
        for slot in layout.slots_of(node)
    }
    assert len(ports) == sum(len(layout.slots_of(node)) for node in range(node_count))
    assert all(len(name) <= 15 for _, name in ports)


def test_the_usual_lab_has_128_ports_and_spines_on_every_rail():
    fleet = lab_fleet(SPEC)
    assert (len(fleet.nodes), len(fleet.nics), fleet.gpu_count) == (16, 128, 128)
    assert len(subnets_of(fleet, 0)) == 8
    assert len(fleet.links)
    assert fleet.storage_pools.capacity_bytes.tolist() == [SPEC.storage_bytes]


def test_a_fabric_alone_has_up_to_ten_thousand_ports():
    fleet = lab_fleet(LabSpec(node_count=1_250, is_fabric_only=True))
    assert len(fleet.nics) == 10_000
    assert not check_fleet(fleet)


@pytest.mark.parametrize(
    "spec",
    [
        LabSpec(node_count=1),
        LabSpec(node_count=65),
        LabSpec(node_count=1_251, is_fabric_only=True),
    ],
)
def test_sizes_beyond_are_refused(spec):
    with pytest.raises(InputError, match=r"2 to [\d,]+ nodes"):
        lab_fleet(spec)


def test_a_door_for_objects_needs_an_engine_that_has_one():
    spec = LabSpec(node_count=4, has_s3=True)
    with pytest.raises(InputError, match="storage on btrfs has no door for objects"):
        Layout(spec, lab_fleet(spec))
    with_doors = LabSpec(node_count=4, storage="cephfs", has_s3=True)
    needed = [part.package_of_tool for part in parts_of(with_doors)]
    assert any("radosgw" in package_of_tool for package_of_tool in needed)


# --- folder and status ------------------------------------------------------------------------


def test_a_status_is_read_as_it_was_written():
    folder = LabFolder.of("one")
    assert folder.read_status() is None
    assert lab_folders() == ()
    folder.make()
    status = replace(STATUS.with_part(PartStatus("fabric", "up", 1.5)), drivers={"host": ["fake"]})
    folder.write_status(status)
    assert folder.read_status() == status
    assert lab_folders() == (folder,)
    assert folder.path.stat().st_mode & 0o77 == 0


def test_a_damaged_status_is_named_and_can_be_taken_down():
    folder = LabFolder.of("one")
    folder.make()
    (folder.path / "status.json").write_text("{")
    with pytest.raises(DataError, match=r"status\.json does not read") as found:
        folder.read_status()
    assert found.value.next_step == "gw lab down one"


def test_keys_are_for_their_owner_only():
    folder = LabFolder.of("one")
    with pytest.raises(DataError, match="do not read"):
        folder.read_keys()
    folder.make()
    folder.write_keys(LabKeys("gw_a", "gw_b"))
    assert folder.read_keys() == LabKeys("gw_a", "gw_b")
    assert folder.keys_path.stat().st_mode & 0o777 == 0o600


def test_logs_alone_are_kept_if_wanted():
    folder = LabFolder.of("one")
    folder.make()
    folder.write_status(STATUS)
    (folder.logs_path / "a.log").write_text("x")
    folder.remove(keep_logs=True)
    assert [path.name for path in folder.path.iterdir()] == ["logs"]
    folder.remove()
    assert not folder.path.exists()
    folder.remove()


@pytest.mark.parametrize("name", ["", "../up", "A", "1st", "a" * 32, "a/b", "a b"])
def test_names_that_are_no_plain_words_are_refused(name):
    with pytest.raises(InputError, match="no lab can be called"):
        LabFolder.of(name)


def test_one_command_at_a_time_starts_or_stops_a_lab():
    folder = LabFolder.of("one")
    with folder.turn():
        with pytest.raises(ConflictError, match="another command"), LabFolder.of("one").turn():
            pass
        with LabFolder.of("two").turn():
            pass


# --- what a machine lacks ---------------------------------------------------------------------


def test_missing_packages_are_named_in_the_line_that_installs_them():
    assert missing_packages(NeedsMore.package_of_tool) == ("a-package",)
    assert "a-package" in packages_missing([NeedsMore()])
    assert "dash" not in packages_missing([NeedsMore()])
    assert install_line(("a", "b")) == "apt-get install -y --no-install-recommends a b"


def test_every_part_says_what_it_is_and_needs():
    parts = parts_of(SPEC)
    assert len({part.name for part in parts}) == len(parts)
    assert parts[0].name == "fabric"
    assert all(name and package for p in parts for name, package in p.package_of_tool.items())
    alone = parts_of(LabSpec(is_fabric_only=True))
    assert [part.name for part in alone] == ["fabric"]


def test_who_is_not_root_is_told_what_to_type(capsys, monkeypatch, home):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    status, text = said(capsys, "lab", "up", "two", "--nodes", "4")
    assert status == 2
    assert "takes root" in text
    assert "sudo -E" in text
    assert not (home / "labs").exists()


def test_nothing_runs_that_nobody_started(capsys, home):
    folder = LabFolder.of("one")
    assert pids_of(folder.path) == ()
    assert not kill_all(folder.path)
    assert not launch.stop(folder)
    assert said(capsys, "lab", "down", "one") == (0, "")
    assert said(capsys, "lab", "status") == (0, "")
    assert not list(home.iterdir())


def test_a_lab_that_was_killed_is_shown_as_failed(capsys):
    folder = LabFolder.of("one")
    folder.make()
    folder.write_status(replace(STATUS, state="up"))
    main_words = ["lab", "status", "-o", "json"]
    with pytest.raises(SystemExit):
        main(main_words)
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["state"] == "failed"
    assert "killed" in shown["said"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["up", "Bad"], "no lab can be called"),
        (["up", "--nodes", "65"], "2 to 64 nodes"),
        (["up", "--nodes", "2000", "--fabric-only"], "2 to 1,250 nodes"),
        (["up", "--nodes", "4", "--hypervisors", "5"], "5 of 4 nodes"),
        (["up", "--storage-size", "much"], "is not a size"),
        (["status", "one"], "there is no lab 'one'"),
        (["logs", "--lab", "one"], "has no log"),
        (["shell", "leaf0", "--lab", "one"], "there is no lab 'one'"),
    ],
)
def test_wrong_requests_are_refused_with_what_to_do(capsys, words, wanted, home):
    status, text = said(capsys, "lab", *words)
    assert status == 2
    assert wanted in text
    assert "next: " in text
    assert not (home / "labs").exists()


def test_a_running_lab_is_not_taken_for_another():
    launch.refuse_other(STATUS, SPEC)
    launch.refuse_other(replace(STATUS, spec=LabSpec(node_count=8)), SPEC)
    with pytest.raises(ConflictError, match="other settings"):
        launch.refuse_other(STATUS, LabSpec(node_count=8))


def test_continuous_integration_installs_all_that_a_lab_needs():
    text = (Path(__file__).parents[2] / ".ci" / "run").read_text()
    installed = set(text[: text.index("step()")].replace("(", " ").replace(")", " ").split())
    needed = {package for part in parts_of(SPEC) for package in part.package_of_tool.values()}
    assert needed - {"mount", "coreutils", "dpkg"} <= installed
