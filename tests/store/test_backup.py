"""Goal: what is backed up while others write comes back whole, or not at all.

Method: archives of real stores on both engines, made while another process commits; each is put
into an empty home and audited there, and archives that are damaged in one way each are refused.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

import gigawatt
from gigawatt.app.backup import back_up, restore
from gigawatt.app.home import Home
from gigawatt.cli.main import main
from gigawatt.errors import DataError, InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_format import dump_fleet
from gigawatt.interfaces.codec import plan_to_json
from gigawatt.planner.plan import OperationKind
from gigawatt.store.audit import audit_database
from gigawatt.store.copying import GENERATION_LEAP
from gigawatt.store.open import is_empty_at, open_store_at

NOW_S = 100.0

WRITER = """
import sys
from dataclasses import replace
from gigawatt.interfaces.codec import plan_from_json
from gigawatt.planner.plan import OperationKind
from gigawatt.store.open import open_store_at
store = open_store_at(sys.argv[1])
plan = plan_from_json(open(sys.argv[2]).read())
number = 0
while True:
    number += 1
    name, now_s = f"w{number}", 1e6 * number
    after = replace(plan.after, cluster_id=f"clu_{name}", name=name)
    generation = store.snapshot(now_s).generation
    launch = replace(plan, cluster_id=after.cluster_id, after=after, parent_generation=generation)
    operation = store.commit(launch, f"op_{name}", now_s)
    store.finish(operation, "done", {}, now_s)
    generation = store.snapshot(now_s).generation
    release = replace(
        launch, kind=OperationKind.RELEASE, before=after, after=None, parent_generation=generation
    )
    store.finish(store.commit(release, f"op_{name}_r", now_s), "done", {}, now_s)
    print(number, flush=True)
"""


@pytest.fixture
def home(engine, tmp_path):
    """An empty home on each engine."""
    made = new_home(engine, tmp_path / "home")
    yield made
    engine.drop(made.store_place)


@pytest.fixture
def other(engine, tmp_path):
    """Another empty home on the same engine."""
    made = new_home(engine, tmp_path / "other")
    yield made
    engine.drop(made.store_place)


def new_home(engine, folder):
    place = engine.new()
    home = Home(folder, place if isinstance(place, str) else None)
    home.make()
    return home


def fill(home, build):
    with closing(open_store_at(home.store_place)) as store:
        build.launched(store, build.target("a"))
        build.commit(store, OperationKind.LAUNCH, None, build.target("b", (3, 4), number=2))


def seen_in(home):
    with closing(open_store_at(home.store_place)) as store:
        return store.snapshot(NOW_S), store.events(), store.clusters(), store.open_operations()


def test_what_was_backed_up_comes_back(home, other, build, tmp_path):
    fill(home, build)
    home.fleet_path.write_text(dump_fleet(hgx_fleet(256)))
    before = seen_in(home)
    made = back_up(home, tmp_path / "a.tar", NOW_S)
    assert restore(tmp_path / "a.tar", other) == made
    after = seen_in(other)
    assert after[1:] == before[1:]
    assert after[0].allocations == before[0].allocations
    assert after[0].generation == made.generation + GENERATION_LEAP
    assert made.generation == before[0].generation
    assert other.fleet_path.read_bytes() == home.fleet_path.read_bytes()
    assert audit_database(other.store_place) == ()
    left = {path.name for path in other.path.iterdir() if "store.sqlite" not in path.name}
    assert left == {"fleet.yaml"}


def test_a_restored_store_goes_on(home, other, build, tmp_path):
    fill(home, build)
    back_up(home, tmp_path / "a.tar", NOW_S)
    restore(tmp_path / "a.tar", other)
    with closing(open_store_at(other.store_place)) as store:
        build.launched(store, build.target("c", (6, 7), number=3))
        (waiting,) = store.open_operations()
        taken = store.take_over(waiting.operation_id, "w", NOW_S)
        store.finish(taken, "done", {}, NOW_S)
    assert audit_database(other.store_place) == ()


def test_a_backup_while_another_process_writes_is_sound(home, build, engine, tmp_path):
    open_store_at(home.store_place).close()
    text = tmp_path / "plan.json"
    plan = build.plan(OperationKind.LAUNCH, None, build.target(nodes=range(8)), 0, expires_s=1e15)
    text.write_text(plan_to_json(plan))
    source = str(Path(gigawatt.__file__).parents[1])
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home.store_place), text],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    try:
        for index in range(3):
            writer.stdout.readline()
            made = back_up(home, tmp_path / f"{index}.tar", NOW_S)
            copy = new_home(engine, tmp_path / f"copy{index}")
            restore(tmp_path / f"{index}.tar", copy)
            assert audit_database(copy.store_place) == ()
            generation = seen_in(copy)[0].generation
            assert generation == made.generation + GENERATION_LEAP
            engine.drop(copy.store_place)
            assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()


def test_only_its_owner_can_read_an_archive(home, build, tmp_path):
    fill(home, build)
    back_up(home, tmp_path / "a.tar", NOW_S)
    assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["a.tar"]


def test_an_archive_is_never_overwritten(home, build, tmp_path):
    fill(home, build)
    (tmp_path / "a.tar").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        back_up(home, tmp_path / "a.tar", NOW_S)
    assert (tmp_path / "a.tar").read_text() == "mine"


def test_nothing_is_backed_up_from_nothing(home, tmp_path):
    with pytest.raises(DataError, match="holds no store"):
        back_up(home, tmp_path / "a.tar", NOW_S)
    assert not (tmp_path / "a.tar").exists()
    assert is_empty_at(home.store_place)


def test_a_home_that_holds_a_store_is_left_alone(home, build, tmp_path):
    fill(home, build)
    back_up(home, tmp_path / "a.tar", NOW_S)
    before = seen_in(home)
    with pytest.raises(DataError, match="holds a store already"):
        restore(tmp_path / "a.tar", home)
    assert seen_in(home) == before


def test_another_fleet_is_left_alone(home, other, build, tmp_path):
    fill(home, build)
    home.fleet_path.write_text(dump_fleet(hgx_fleet(256)))
    other.fleet_path.write_text(dump_fleet(hgx_fleet(128)))
    back_up(home, tmp_path / "a.tar", NOW_S)
    with pytest.raises(InputError, match="another fleet"):
        restore(tmp_path / "a.tar", other)
    assert is_empty_at(other.store_place)


def test_an_unsound_store_is_not_put_in_place(engine, home, other, build, tmp_path):
    fill(home, build)
    engine.execute(home.store_place, "UPDATE cluster SET target = NULL WHERE name = 'a'")
    back_up(home, tmp_path / "a.tar", NOW_S)
    with pytest.raises(DataError, match=r"was not restored, the auditor has \d+ notes"):
        restore(tmp_path / "a.tar", other)
    assert is_empty_at(other.store_place)


def changed(source, target, *, manifest=None, store=None, without=()):
    """A copy of an archive with another manifest or store, digests not mended."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old.getmembers():
            content = old.extractfile(member).read()
            if member.name == "manifest.json" and manifest:
                content = json.dumps({**json.loads(content), **manifest}).encode()
            if member.name == "store" and store:
                content = store(content)
            if member.name not in without:
                member.size = len(content)
                new.addfile(member, io.BytesIO(content))


DAMAGES = {
    "a bit": {"store": lambda c: bytes([*c[:5_000], c[5_000] ^ 1, *c[5_001:]])},
    "cut": {"store": lambda c: c[: len(c) // 2]},
    "no store": {"without": ["store"]},
    "no manifest": {"without": ["manifest.json"]},
    "a later format": {"manifest": {"archive_format": 2}},
    "a file outside": {"manifest": {"sha256": {"store": "0" * 64, "../x": "0" * 64}}},
    "another generation": {"manifest": {"generation": 77}},
    "a newer revision": {"manifest": {"revision": "9999"}},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_changes_nothing(home, other, build, tmp_path, damage):
    fill(home, build)
    back_up(home, tmp_path / "a.tar", NOW_S)
    changed(tmp_path / "a.tar", tmp_path / "b.tar", **DAMAGES[damage])
    with pytest.raises(DataError):
        restore(tmp_path / "b.tar", other)
    assert is_empty_at(other.store_place)
    assert not other.fleet_path.exists()


@pytest.mark.parametrize("content", [b"", b"x" * 5_000])
def test_what_is_no_archive_is_refused(other, tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DataError, match="is not an archive of gw backup"):
        restore(tmp_path / "a.tar", other)
    with pytest.raises(InputError, match="cannot be read"):
        restore(tmp_path / "nowhere.tar", other)


def test_what_is_left_of_a_lost_store_is_not_mixed_in(home, other, build, tmp_path):
    if other.database_url is not None:
        pytest.skip("a database leaves no files in the home")
    fill(home, build)
    back_up(home, tmp_path / "a.tar", NOW_S)
    left = other.path / "store.sqlite-wal"
    left.write_bytes(b"old")
    with pytest.raises(DataError, match="is left of a store that is gone"):
        restore(tmp_path / "a.tar", other)
    assert left.read_bytes() == b"old"


def test_the_engines_do_not_mix(home, other, build, tmp_path):
    fill(home, build)
    back_up(home, tmp_path / "a.tar", NOW_S)
    wrong = {"sqlite": "postgresql", "postgresql": "sqlite"}
    with tarfile.open(tmp_path / "a.tar") as archive:
        engine = json.loads(archive.extractfile("manifest.json").read())["engine"]
    changed(tmp_path / "a.tar", tmp_path / "b.tar", manifest={"engine": wrong[engine]})
    with pytest.raises(DataError, match="the copy is of a store on"):
        restore(tmp_path / "b.tar", other)


def test_a_missing_tool_is_named_with_its_package(home, build, tmp_path, monkeypatch):
    if home.database_url is None:
        pytest.skip("a file needs no tool")
    fill(home, build)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="pg_dump is not installed") as caught:
        back_up(home, tmp_path / "a.tar", NOW_S)
    assert "apt-get install -y postgresql-client" in caught.value.next_step


def test_the_commands_do_all_this(home, other, build, tmp_path, monkeypatch, capsys):
    fill(home, build)

    def gw(at, *arguments):
        monkeypatch.setenv("GIGAWATT_HOME", str(at.path))
        if at.database_url:
            monkeypatch.setenv("GIGAWATT_DATABASE_URL", at.database_url)
        monkeypatch.setattr(sys, "argv", ["gw", *arguments])
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        return caught.value.code

    assert gw(home, "migrate") == 0
    assert gw(home, "backup", str(tmp_path / "a.tar")) == 0
    assert gw(other, "restore", str(tmp_path / "a.tar")) == 0
    assert gw(other, "restore", str(tmp_path / "a.tar")) == 8
    told = capsys.readouterr()
    assert "generation 2" in told.out
    assert "nothing to do" in told.out
    assert "holds a store already" in told.err
    assert audit_database(other.store_place) == ()
