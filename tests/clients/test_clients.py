"""Programs of others, as they are on PyPI, against the Lambda-compatible door.

Goal: SkyPilot, dstack and lai work unchanged: each launches, lists and takes down, with the calls
that it is known to make, and leaves nothing behind.
Method: they run in namespaces where Lambda's names are ours, against a real server with TLS, a
worker and fake devices; what the server saw is compared with what the programs say. There are no
real nodes, so nobody answers SSH: what a program sets up inside a node is not part of this.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_door import REGION, Door, open_door, shown, why_not

VENVS = Path(__file__).parents[2] / ".venv-clients"

LAUNCH = "POST /instance-operations/launch 200"
TERMINATE = "POST /instance-operations/terminate 200"
LIST = "GET /instances 200"
TYPES = "GET /instance-types 200"


@pytest.fixture(scope="module")
def may_run() -> None:
    """Namespaces can be made here; else the reason."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


def programs(name: str, *tools: str) -> Path:
    """Folder of a program's virtual environment; skips where something is missing."""
    folder = VENVS / name / "bin"
    if not (VENVS / f"{name}.stamp").exists():
        pytest.skip(f"{name} is not set up; run 'make clients'")
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{name} wants {tool}, which is not installed")
    return folder


@pytest.fixture
def door(may_run: None, tmp_path: Path) -> Iterator[Door]:
    with open_door(tmp_path / "door") as opened:
        yield opened


def count(wanted: str) -> Callable[[list[dict[str, Any]]], int]:
    return lambda calls: shown(calls).count(wanted)


def assert_in_order(wanted: list[str], found: list[str]) -> None:
    """Every call that is wanted was made, in this order, with others between them."""
    rest = iter(found)
    for call in wanted:
        assert call in rest, f"{call} is not where it should be: {found}"


def assert_all_went_well(door: Door) -> None:
    assert {call["status"] for call in door.calls()} == {200}, shown(door.calls())


@pytest.mark.timeout(900)
def test_lai_starts_lists_renames_and_stops(door: Door):
    bin_folder = programs("lai")

    def lai(*words: str) -> str:
        done = door.run(bin_folder / "lai", *words, LAMBDA_CLOUD_TOKEN=door.key, COLUMNS="400")
        assert done.status == 0, done.output
        return done.output

    door.post("/ssh-keys", {"name": "mine"})
    assert "mine" in lai("keys")
    assert "debian-12-gpu" in lai("images")
    assert "gpu_8x_h100_sxm5" in lai("types", "--available")
    start = ("--region", REGION, "--ssh-key", "mine", "--name", "first one", "--tag", "team=red")
    lai("start", "--instance-type", "gpu_2x_h100_sxm5", "--hostname", "node", *start)
    door.until_active(1)
    (made,) = json.loads(lai("ls", "--json"))
    assert (made["name"], made["status"]) == ("first one", "active")
    assert made["tags"] == [{"key": "team", "value": "red"}]
    assert made["ip"] == made["private_ip"]
    lai("rename", made["id"], "second")
    assert "second" in lai("get", made["id"])
    lai("stop", made["id"])
    door.until_gone()
    assert "No instances" in lai("ls")
    assert_all_went_well(door)


def give_sky_its_files(door: Door, bin_folder: Path, **environment: str) -> None:
    """The key, and the catalogue that it would fetch from GitHub, by its own program from us."""
    keys = door.folder / ".lambda_cloud"
    keys.mkdir()
    (keys / "lambda_keys").write_text(f"api_key = {door.key}\n", encoding="utf-8")
    fetch = ("-m", "sky.catalog.data_fetchers.fetch_lambda_cloud", "--api-key", door.key)
    done = door.run(bin_folder / "python", *fetch, **environment)
    assert done.status == 0, done.output
    with (door.folder / "lambda" / "vms.csv").open(encoding="utf-8") as file:
        types = {row["InstanceType"]: row for row in csv.DictReader(file)}
    assert set(types) == {f"gpu_{n}x_h100_sxm5" for n in (1, 2, 4, 8)}
    assert types["gpu_8x_h100_sxm5"]["AcceleratorName"] == "H100"
    catalogue = door.folder / ".sky" / "catalogs" / "v8"
    (catalogue / "common").mkdir(parents=True)
    (door.folder / "lambda").rename(catalogue / "lambda")
    for name, text in (
        ("accelerators", "AcceleratorName,Clouds\nH100,\"['Lambda']\"\n"),
        ("metadata", "GPU,MemoryGB,Manufacturer\nH100,80,NVIDIA\n"),
    ):
        (catalogue / "common" / f"{name}.csv").write_text(text, encoding="utf-8")


@pytest.mark.timeout(900)
def test_skypilot_checks_launches_two_nodes_looks_and_takes_them_down(door: Door):
    bin_folder = programs("skypilot", "rsync", "ssh")
    environment = {
        "PATH": f"{bin_folder}:{door.environment['PATH']}",
        "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
        # It makes a wheel of itself for its nodes. What that takes is in its environment, and
        # there is no index here to fetch it from; 0 is pip's way to say no isolation.
        "PIP_NO_BUILD_ISOLATION": "0",
        "NO_COLOR": "1",
    }

    def sky(*words: str) -> str:
        done = door.run(bin_folder / "sky", *words, limit_s=300.0, **environment)
        assert done.status == 0, done.output
        return done.output

    give_sky_its_files(door, bin_folder, **environment)
    assert "Lambda: enabled" in sky("check", "lambda")
    before = len(door.calls())
    what = ("-c", "two", "--infra", f"lambda/{REGION}", "--gpus", "H100:8", "--num-nodes", "2")
    output = door.start(bin_folder / "sky", "launch", "-y", *what, "true", **environment)
    # Both are there when it has listed them twice after the second launch: once to see them
    # active, once for their addresses.
    door.until(lambda calls: shown(calls)[-2:] == [LIST, LIST] and count(LAUNCH)(calls) == 2)
    found = shown(door.calls())[before:]
    wanted = ["GET /ssh-keys 200", "POST /ssh-keys 200", LIST, TYPES, LAUNCH, TYPES, LAUNCH, LIST]
    assert_in_order(wanted, found)
    head, worker = sorted(door.until_active(2), key=lambda one: one["name"])
    assert head["name"].endswith("-head")
    assert worker["name"].endswith("-worker")
    assert head["private_ip"] != worker["private_ip"]
    assert head["cluster_id"] != worker["cluster_id"]
    looked = sky("status", "-r", "two")
    assert "2x(gpus=H100:8" in looked, looked
    # It is still waiting for SSH, which no fake device answers: not UP, and not lost either.
    assert "INIT" in looked, (looked, output.read_text(encoding="utf-8"))
    sky("down", "-y", "two")
    assert count(TERMINATE)(door.calls()) == 1
    door.until_gone()
    assert_all_went_well(door)


BUILD_CATALOGUE = """
import sys, zipfile
from pathlib import Path
from gpuhunt._internal import storage
from gpuhunt.providers.lambdalabs import LambdaLabsProvider

place = Path("catalogue/lambdalabs/1")
place.mkdir(parents=True)
storage.dump(LambdaLabsProvider(sys.argv[1]).get(), "lambdalabs.csv")
with zipfile.ZipFile(place / "catalog.zip", "w") as archive:
    archive.write("lambdalabs.csv")
(place.parent / "version").write_text("1")
"""

FLEET = "type: fleet\nname: two\nnodes: 2\nresources:\n  gpu: H100:8\n"


def give_dstack_its_files(door: Door, bin_folder: Path) -> None:
    """The key, and the catalogue that it would fetch from its makers, by its program from us."""
    build, fleet = door.folder / "build.py", door.folder / "fleet.dstack.yml"
    build.write_text(BUILD_CATALOGUE, encoding="utf-8")
    fleet.write_text(FLEET, encoding="utf-8")
    done = door.run(bin_folder / "python", build, door.key)
    assert done.status == 0, done.output
    server = door.folder / ".dstack" / "server"
    server.mkdir(parents=True)
    backend = {"type": "lambda", "creds": {"type": "api_key", "api_key": door.key}}
    config = {"projects": [{"name": "main", "backends": [backend]}]}
    (server / "config.yml").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.timeout(900)
def test_dstack_makes_a_fleet_of_two_and_deletes_it(door: Door):
    bin_folder = programs("dstack", "ssh")
    environment = {
        "PATH": f"{bin_folder}:{door.environment['PATH']}",
        "GPUHUNT_CATALOG_URL": f"file://{door.folder}/catalogue",
        "DSTACK_SERVER_ADMIN_TOKEN": "of-this-test-alone",
        "COLUMNS": "400",
    }

    def dstack(*words: str) -> str:
        done = door.run(bin_folder / "dstack", *words, limit_s=300.0, **environment)
        assert done.status == 0, done.output
        return done.output

    give_dstack_its_files(door, bin_folder)
    before = len(door.calls())
    server = door.start(bin_folder / "dstack", "server", "-y", **environment)
    door.until(lambda _: "is running at" in server.read_text(encoding="utf-8"))
    planned = dstack("apply", "-y", "-d", "-f", "fleet.dstack.yml")
    assert "gpu_8x_h100_sxm5" in planned, planned
    # It launches both at once, looks after a while, and takes their addresses.
    door.until(lambda calls: count(LAUNCH)(calls) == 2 and LIST in shown(calls))
    found = shown(door.calls())[before:]
    wanted = [TYPES, "GET /ssh-keys 200", "POST /ssh-keys 200", LAUNCH, LAUNCH, LIST]
    assert_in_order(wanted, found)
    door.until_active(2)
    assert dstack("fleet", "list", "-v").count("provisioning") == 2
    dstack("fleet", "delete", "-y", "two")
    assert count(TERMINATE)(door.calls()) == 2
    door.until_gone()
    assert_all_went_well(door)
