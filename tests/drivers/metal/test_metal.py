"""The host plane on bare metal, over simulated BMCs.

Goal: a node boots what its slice says and nothing stays behind of the seed; a node whose BMC hangs,
lies, or is not as the golden values say is never called clean; the contract of all drivers holds.
Method: the driver over HTTPS to BMC simulators on loopback; the host behind each is a remembered
state. Machines with processes are in ``tests/lab/test_metal.py``.
"""

import asyncio
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace

import pytest
from contract import DriverContract, Subject
from running_metal import NO_HOOKS, metal_fleet, running_metal

from gigawatt.boundary.entries import HostSlice
from gigawatt.drivers.cleaning import HookSettings
from gigawatt.drivers.metal.seed import seed_files, served_seed
from gigawatt.drivers.metal.settings import CleaningSettings
from gigawatt.errors import (
    DriverError,
    DriverPermanentError,
    InputError,
)
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import OPERATOR, Endpoint, Fence
from gigawatt.lab.machine.seed import read_seed
from gigawatt.lab.redfish.faults import Faults

FLEET = metal_fleet()
A, B = ClusterId("clu_a"), ClusterId("clu_b")
KEY_A, KEY_B = "ssh-ed25519 AAAAa a@example", "ssh-ed25519 AAAAb b@example"

pytestmark = pytest.mark.skipif(shutil.which("xorriso") is None, reason="xorriso is not installed")


def node_slice(node=0, power="on", hostname="a-0", keys=(KEY_A,)):
    node_id = NodeId(FLEET.nodes.ids[node])
    return HostSlice(node_id, 0xFF, False, hostname, "debian-12-gpu", keys, power)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with running_metal(tmp_path_factory.mktemp("metal"), FLEET) as metal:
        yield metal


@pytest.fixture
def metal(shared, tmp_path):
    for bmc in shared.simulator.bmcs.values():
        bmc.failing.become(Faults())
        bmc.machine.power_off()
    shared.driver_folder = tmp_path / "driver"
    shared.receipts.all.clear()
    return shared


class TestContract(DriverContract):
    kinds = ("whole_slice",)

    @pytest.fixture
    def subject(self, metal) -> Subject:
        return Subject(FLEET, metal.drivers, guest_nodes=(), ssh_public_keys=(KEY_A,))


def bmc_of(metal, node=0):
    return metal.simulator.bmcs[NodeId(FLEET.nodes.ids[node])]


def run(call):
    return asyncio.run(call)


async def held(driver, entry):
    seen = await driver.observe([entry.device])
    return seen.entries.get(entry.device)


def test_the_seed_says_name_and_keys_and_reads_back():
    files = seed_files(node_slice(keys=(KEY_A, KEY_B)))
    seed = read_seed(files["meta-data"], files["user-data"])
    assert seed.hostname == "a-0"
    assert seed.keys == {"tenant": (KEY_A, KEY_B), "root": (KEY_A, KEY_B)}


def test_a_booted_node_has_nothing_of_the_seed_left(metal):
    driver, entry = metal.new_driver(), node_slice()
    run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    bmc = bmc_of(metal)
    assert bmc.machine.state()[0]
    assert bmc.drive.url is None
    assert list((metal.folder / "media").iterdir()) == []
    assert run(held(driver, entry)) == {entry}


def fetch(url):
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own address
        return answer.read()


def test_the_media_server_gives_only_who_knows_the_name(metal):
    secret = metal.folder / "media" / "unguessable.iso"
    secret.write_bytes(b"seed")
    outside = metal.folder / "bmc.pem"
    url = metal.settings.media.url
    assert outside.exists()
    try:
        assert fetch(f"{url}/unguessable.iso") == b"seed"
        for path in ("/", "", "/../bmc.pem", "/%2e%2e/bmc.pem", "/other.iso"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                fetch(url + path)
    finally:
        secret.unlink()


def test_other_keys_boot_the_node_anew(metal):
    driver, entry = metal.new_driver(), node_slice()
    run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    changed = replace(entry, ssh_public_keys=(KEY_B,))
    before = len(bmc_of(metal).log)
    run(driver.ensure(entry.device, [changed], Fence(A, 1)))
    assert run(held(driver, entry)) == {changed}
    resets = [e.message for e in list(bmc_of(metal).log)[before:] if "reset" in e.message]
    assert [message.rpartition(" ")[2] for message in resets] == ["GracefulShutdown", "On"]


def test_power_is_read_and_never_remembered(metal):
    driver, entry = metal.new_driver(), node_slice()
    run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    bmc_of(metal).machine.power_off()
    assert run(held(driver, entry)) == {replace(entry, power="off")}
    run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    assert bmc_of(metal).machine.state()[0]


def test_a_node_that_is_on_though_nobodys_is_seen_refused_and_cleaned(metal):
    driver, entry = metal.new_driver(), node_slice()
    bmc_of(metal).machine.power_on(None)
    (found,) = run(held(driver, entry))
    assert (found.key, found.power, found.hostname) == ("slot/0", "on", "")
    with pytest.raises(DriverPermanentError, match="nobody was given it"):
        run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    run(driver.remove(entry.device, [found], Fence(OPERATOR, 1)))
    assert run(held(driver, entry)) == frozenset()
    assert metal.receipts.all[-1].is_passed


def test_a_boot_that_was_cut_short_is_carried_on_by_the_next_process(metal):
    class DiedError(BaseException):
        pass

    entry = node_slice()
    first = metal.new_driver()
    booting = first._component._booting

    async def die(*_):
        raise DiedError

    booting._until_running = die
    with pytest.raises(DiedError):
        run(first.ensure(entry.device, [entry], Fence(A, 1)))
    second = metal.new_driver()
    assert run(held(second, entry)) != {entry}
    run(second.ensure(entry.device, [entry], Fence(A, 2)))
    assert run(held(second, entry)) == {entry}
    assert bmc_of(metal).drive.url is None


@pytest.mark.parametrize("wrong", [{"gpu_mask": 0x0F}, {"guest": True}])
def test_only_whole_nodes_are_given_away(metal, wrong):
    entry = replace(node_slice(), **wrong)
    with pytest.raises(DriverPermanentError):
        run(metal.new_driver().ensure(entry.device, [entry], Fence(A, 1)))


def test_probe_says_on_and_of_one_cluster(metal):
    driver = metal.new_driver()
    on, off, other = node_slice(0), node_slice(1, power="off"), node_slice(2)
    run(driver.ensure(on.device, [on], Fence(A, 1)))
    run(driver.ensure(off.device, [off], Fence(A, 1)))
    run(driver.ensure(other.device, [other], Fence(B, 1)))
    ends = [Endpoint(NodeId(FLEET.nodes.ids[n]), 0) for n in range(4)]
    pairs = [(ends[1], ends[0]), (ends[0], ends[1]), (ends[0], ends[2]), (ends[3], ends[3])]
    assert run(driver.probe(pairs)) == (True, False, False, False)
    with pytest.raises(DriverPermanentError, match="nowhere"):
        run(driver.probe([(ends[0], Endpoint(NodeId("nowhere"), 0))]))


def give_back(metal, node=0, **changed):
    """Give a node to a cluster, let ``spoil`` happen, take it away: error and receipt."""
    spoil = changed.pop("spoil", lambda bmc: None)
    driver, entry = metal.new_driver(**changed), node_slice(node)
    run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    spoil(bmc_of(metal, node))
    error = None
    try:
        run(driver.remove(entry.device, [entry], Fence(A, 1)))
    except DriverError as failure:
        error = failure
    return error, metal.receipts.all[-1] if metal.receipts.all else None


def test_a_node_that_is_as_it_shall_be_is_clean_and_the_receipt_says_what_was_done(metal):
    error, receipt = give_back(metal)
    assert error is None
    assert receipt.is_passed
    assert (receipt.node_id, receipt.cluster_id) == (FLEET.nodes.ids[0], A)
    assert receipt.gpu_mask == 0xFF
    by_name = {step.name: step.detail for step in receipt.steps}
    assert by_name["power off"] == "the BMC says off"
    assert by_name["burn in"] == "not done: no hook configured"
    assert by_name["BMC accounts"] == "1 accounts, all golden: gigawatt"
    assert by_name["firmware"] == "BIOS 2.4.0, BMC 1.2.3"
    assert not bmc_of(metal).machine.state()[0]


@pytest.mark.parametrize(
    ("spoil", "mend", "step", "words"),
    [
        (
            lambda bmc: bmc.accounts.make(
                "evil", "Planted-1234", "Administrator", is_policed=False
            ),
            lambda bmc: bmc.accounts.remove(bmc.accounts.named("evil")),
            "BMC accounts",
            "evil (Administrator) does not belong there",
        ),
        (
            lambda bmc: bmc.firmware_versions.update(BMC="6.6.6"),
            lambda bmc: bmc.firmware_versions.update(BMC="1.2.3"),
            "firmware",
            "BMC is 6.6.6, wanted 1.2.3",
        ),
        (
            lambda bmc: bmc.firmware_versions.pop("BIOS"),
            lambda bmc: bmc.firmware_versions.update(BIOS="2.4.0"),
            "firmware",
            "BIOS is not there, wanted 2.4.0",
        ),
        (
            lambda bmc: bmc.failing.become(Faults(lies=True)),
            lambda bmc: bmc.failing.become(Faults()),
            "power off",
            "is still on",
        ),
    ],
    ids=["planted account", "other firmware", "hidden firmware", "off that is not off"],
)
def test_a_node_that_is_not_as_it_shall_be_is_not_clean(metal, spoil, mend, step, words):
    error, receipt = give_back(metal, spoil=spoil)
    try:
        assert isinstance(error, DriverPermanentError)
        assert f"'{step}'" in str(error)
        assert not receipt.is_passed
        assert receipt.steps[-1].name == step
        assert words in receipt.steps[-1].detail
        entry = node_slice()
        with pytest.raises(DriverPermanentError, match="clu_a"):
            run(metal.new_driver().ensure(entry.device, [entry], Fence(B, 1)))
    finally:
        mend(bmc_of(metal))
    run(metal.new_driver().remove(node_slice().device, [node_slice()], Fence(OPERATOR, 9)))
    assert metal.receipts.all[-1].is_passed


@pytest.mark.parametrize("hangs", ["accept", "request"])
def test_a_bmc_that_hangs_is_unreachable_and_its_node_not_clean(tmp_path, hangs):
    with running_metal(tmp_path, FLEET, nodes=(0, 1)) as metal:
        reach = metal.settings.reach.model_copy(update={"call_s_max": 3.0, "request_s_max": 3.0})
        entry = node_slice()
        run(metal.new_driver().ensure(entry.device, [entry], Fence(A, 1)))
        bmc_of(metal).failing.become(Faults(hangs=hangs))
        driver = metal.new_driver(reach=reach)
        with pytest.raises(DriverError):
            run(driver.remove(entry.device, [entry], Fence(A, 1)))
        other = DeviceId(f"host/{FLEET.nodes.ids[1]}")
        seen = run(driver.observe([entry.device, other]))
        assert seen.unreachable == {entry.device}
        assert seen.entries[other] == frozenset()
        assert not any(receipt.is_passed for receipt in metal.receipts.all)


def test_a_bmc_that_hangs_while_the_node_is_cleaned_fails_the_step(metal):
    reach = metal.settings.reach.model_copy(update={"call_s_max": 1.0, "request_s_max": 1.0})
    bmc = bmc_of(metal)
    hook = HookSettings(command=("true",))
    cleaning = NO_HOOKS.model_copy(update={"hooks": {"prove_off": hook}})
    driver = metal.new_driver(reach=reach, cleaning=cleaning)
    entry = node_slice()
    run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    roles = type(driver._component._bmc(entry.device)).account_roles

    async def hang_then_read(self):
        bmc.failing.become(Faults(hangs="request"))
        return await roles(self)

    driver._component._bmc(entry.device).account_roles = hang_then_read.__get__(
        driver._component._bmc(entry.device)
    )
    with pytest.raises(DriverPermanentError, match="'BMC accounts'"):
        run(driver.remove(entry.device, [entry], Fence(A, 1)))
    assert not metal.receipts.all[-1].is_passed


def test_hooks_are_run_for_the_node_and_a_hook_that_fails_fails_the_node(metal):
    hooks = {
        "sanitise_disk": HookSettings(command=(sys.executable, "-c", "print('8 drives erased')")),
        "sample_disk": HookSettings(command=("sh", "-c", "echo 3 bytes on {node}; exit 1")),
    }
    cleaning = NO_HOOKS.model_copy(update={"hooks": hooks})
    error, receipt = give_back(metal, cleaning=cleaning)
    assert "'sample disk'" in str(error)
    by_name = {step.name: step for step in receipt.steps}
    assert by_name["sanitise disk"].detail == "8 drives erased"
    assert f"3 bytes on {FLEET.nodes.ids[0]}" in by_name["sample disk"].detail
    assert "BMC accounts" not in by_name


def test_a_site_that_says_nothing_must_have_hooks_for_disks(metal):
    cleaning = CleaningSettings(golden_accounts=NO_HOOKS.golden_accounts)
    error, receipt = give_back(metal, cleaning=cleaning)
    assert "'sanitise disk'" in str(error)
    assert "requires" in receipt.steps[-1].detail


def test_a_node_that_does_not_boot_is_off_again_and_holds_nothing(metal):
    entry = node_slice()
    driver = metal.new_driver(
        media=metal.settings.media.model_copy(update={"url": "http://127.0.0.1:9"})
    )
    with pytest.raises(DriverError):
        run(driver.ensure(entry.device, [entry], Fence(A, 1)))
    assert not bmc_of(metal).machine.state()[0]
    assert bmc_of(metal).drive.url is None
    assert list((metal.folder / "media").iterdir()) == []


def test_settings_that_do_not_fit_the_fleet_are_refused(metal):
    with pytest.raises(InputError, match="no node"):
        metal.new_driver(nodes=(NodeId("nowhere"),))
    reach = metal.settings.reach.model_copy(update={"bmcs": {}})
    with pytest.raises(InputError, match="no BMC"):
        metal.new_driver(reach=reach)


def test_the_seed_is_a_medium_that_others_read(metal, tmp_path):
    async def build():
        async with served_seed(node_slice(), metal.settings.media) as url:
            path = metal.settings.media.folder / url.rpartition("/")[2]
            words = ["xorriso", "-indev", str(path), "-pvd_info", "-ls", "/"]
            return await asyncio.to_thread(
                subprocess.run, words, capture_output=True, text=True, check=True
            )

    done = run(build())
    assert "Volume Id    : cidata" in done.stdout + done.stderr
    for name in ("meta-data", "user-data", "network-config"):
        assert name in done.stdout
