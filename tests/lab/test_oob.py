"""Who reaches which BMC in a running lab, as programs see it that know nothing of us.

Goal: a tenant reaches the BMCs of its own nodes and no other, a BMC reaches nobody, an account
works where it was made and nowhere else, and neither survives a release; what was planted is
found; a BMC that fails costs the others nothing.
Method: curl from a proxy's address; curl, nc and arping from the BMC's own namespace; nft's
listing; the simulator's side door for the truth about accounts. Every "no" has a "yes" beside it.
"""

import asyncio
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from time import monotonic

import pytest
from hearing import hears

from gigawatt.boundary.entries import BmcAccount, BmcRoute, Entry
from gigawatt.boundary.names import bmc_secret_ref_of, bmc_username_of, cluster_source_of
from gigawatt.drivers.redfish.bmc import open_bmc
from gigawatt.drivers.redfish.routes import proxy_address_of
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, DeviceId, NodeId, SiteId
from gigawatt.interfaces.driver import OPERATOR, Fence
from gigawatt.lab.layout import MANAGEMENT_BMC_SIDE, MEDIA_PORT
from gigawatt.lab.redfish.faults import Faults
from running_oob import RunningOob

pytestmark = pytest.mark.lab

A, B = ClusterId("clu_a"), ClusterId("clu_b")
SITE = SiteId("lab")
SWITCH = DeviceId("oob/lab")
LATE = 10**15


@pytest.fixture(scope="module")
def running() -> Iterator[RunningOob]:
    oob = RunningOob(node_count=6)
    yield oob
    oob.close()


@pytest.fixture
def oob(running) -> Iterator[RunningOob]:
    yield running
    for node in nodes(running):
        running.control.set_faults(node, Faults())
    asyncio.run(sweep(running))


def nodes(oob: RunningOob) -> list[NodeId]:
    return [NodeId(name) for name in oob.fleet.nodes.ids]


def devices(oob: RunningOob) -> list[DeviceId]:
    return [SWITCH, *(DeviceId(f"bmc/{node}") for node in nodes(oob))]


async def sweep(oob: RunningOob) -> None:
    """Take everything away by the operator's hand."""
    seen = await oob.driver.observe(devices(oob))
    for device, entries in seen.entries.items():
        await oob.driver.remove(device, list(entries), Fence(OPERATOR, LATE))


def entries_of(cluster: ClusterId, members: list[NodeId]) -> list[Entry]:
    name = bmc_username_of(cluster)
    accounts = [BmcAccount(n, name, bmc_secret_ref_of(cluster, n)) for n in members]
    return [*accounts, *(BmcRoute(SITE, cluster_source_of(cluster), n) for n in members)]


async def give(oob: RunningOob, cluster: ClusterId, members: list[NodeId]) -> str:
    """Give a cluster its BMCs; the address of its proxy."""
    for entry in entries_of(cluster, members):
        await oob.driver.ensure(entry.device, [entry], Fence(cluster, 1))
    proxy = await proxy_address_of(oob.settings, SITE, cluster)
    assert proxy is not None
    return proxy


async def release(oob: RunningOob, cluster: ClusterId, members: list[NodeId]) -> None:
    for entry in entries_of(cluster, members):
        await oob.driver.remove(entry.device, [entry], Fence(cluster, 1))


def url(oob: RunningOob, node: NodeId, path: str = "/redfish/v1/") -> str:
    return f"https://{oob.settings.reach.bmcs[node].ipv4}{path}"


def curl(*words: str, namespace: str | None = None) -> int:
    """HTTP status that curl got, 0 for none."""
    inside = [] if namespace is None else ["nsenter", f"--net=/run/netns/{namespace}", "--"]
    line = [*inside, "curl", "-sk", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", *words]
    return int(subprocess.run(line, capture_output=True, text=True, check=False).stdout or 0)


def reaches(oob: RunningOob, source: str, node: NodeId) -> bool:
    return curl("--interface", source, url(oob, node)) == 200


def logs_in(oob: RunningOob, node: NodeId, username: str, password: str) -> bool:
    body = json.dumps({"UserName": username, "Password": password})
    path = url(oob, node, "/redfish/v1/SessionService/Sessions")
    return curl("-H", "Content-Type: application/json", "-d", body, path) == 201


def at_bmc(oob: RunningOob, row: int, *words: str) -> bool:
    """Whether a program ends well in a BMC's namespace."""
    inside = ["nsenter", f"--net=/run/netns/{oob.layout.bmc_namespace(row)}", "--"]
    return subprocess.run([*inside, *words], capture_output=True, check=False).returncode == 0


def nft(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    line = ["nsenter", "--net=/run/netns/oob", "--", "nft", *words]
    return subprocess.run(line, input=stdin, capture_output=True, text=True, check=False)


def test_a_tenant_reaches_the_bmcs_of_its_nodes_and_no_other(oob):
    names = nodes(oob)

    async def run():
        proxies = {
            await give(oob, A, names[:2]): names[:2],
            await give(oob, B, names[2:4]): names[2:4],
        }
        assert len(proxies) == 2
        for proxy, members in proxies.items():
            found = [node for node in names if reaches(oob, proxy, node)]
            assert found == members
        assert all(reaches(oob, MANAGEMENT_BMC_SIDE, node) for node in names)
        await release(oob, A, names[:2])
        await release(oob, B, names[2:4])

    asyncio.run(run())


def test_a_bmc_reaches_neither_another_nor_the_operator_but_for_media(oob):
    names = nodes(oob)
    asyncio.run(give(oob, A, names[:2]))
    other = str(oob.settings.reach.bmcs[names[1]].ipv4)
    own = str(oob.settings.reach.bmcs[names[0]].ipv4)
    assert at_bmc(oob, 0, "curl", "-sk", "-m", "2", f"https://{own}/redfish/v1/")
    assert not at_bmc(oob, 0, "curl", "-sk", "-m", "2", f"https://{other}/redfish/v1/")
    assert not at_bmc(oob, 0, "sh", "-c", hears(other))
    assert at_bmc(oob, 0, "sh", "-c", hears(MANAGEMENT_BMC_SIDE))
    with (
        http.server.HTTPServer((MANAGEMENT_BMC_SIDE, 443), None) as forbidden,
        http.server.HTTPServer((MANAGEMENT_BMC_SIDE, MEDIA_PORT), None) as allowed,
    ):
        assert forbidden.server_port != allowed.server_port
        assert at_bmc(oob, 0, "nc", "-z", "-w", "2", MANAGEMENT_BMC_SIDE, str(MEDIA_PORT))
        for source_port in (40_000, 443):
            words = ["-z", "-w", "2", "-p", str(source_port), MANAGEMENT_BMC_SIDE, "443"]
            assert not at_bmc(oob, 0, "nc", *words)


def test_an_account_opens_its_own_nodes_and_is_gone_after_release(oob):
    names = nodes(oob)

    async def run():
        await give(oob, A, names[:2])
        await give(oob, B, names[2:4])
        name = bmc_username_of(A)
        passwords = {n: oob.secrets.read(bmc_secret_ref_of(A, n)) for n in names[:2]}
        for made_for, password in passwords.items():
            found = [node for node in names if logs_in(oob, node, name, password)]
            assert found == [made_for]
        account = BmcAccount(names[0], name, bmc_secret_ref_of(A, names[0]))
        await oob.driver.rotate(account)
        assert not logs_in(oob, names[0], name, passwords[names[0]])
        fresh = oob.secrets.read(account.secret_ref)
        assert logs_in(oob, names[0], name, fresh)
        await release(oob, A, names[:2])
        await release(oob, B, names[2:4])
        assert not any(logs_in(oob, node, name, fresh) for node in names)

    asyncio.run(run())
    golden = oob.settings.golden_accounts
    assert all(oob.control.accounts(node) == golden for node in names)
    assert oob.secrets.kept == {}
    listed = json.loads(nft("-j", "list", "table", "bridge", "gigawatt_oob").stdout)
    sets = {item["set"]["name"]: item["set"] for item in listed["nftables"] if "set" in item}
    assert not {"elem"} & (sets["allow"].keys() | sets["back"].keys())
    shown = subprocess.run(["ip", "address", "show", "oob0"], capture_output=True, check=True)
    assert b"100.127." not in shown.stdout


def test_an_account_or_a_role_that_was_planted_is_found_and_taken_out(oob):
    names = nodes(oob)

    async def run():
        await give(oob, A, names[:1])
        account = entries_of(A, names[:1])[0]
        oob.control.plant_account(names[0], "ghost", "Ghost-1234", "Administrator")
        oob.control.change_role(names[0], "factory", "Administrator")
        seen = (await oob.driver.observe([account.device])).entries[account.device]
        ghosts = {BmcAccount(names[0], name, "") for name in ("ghost", "factory")}
        assert seen == {account, *ghosts}
        await oob.driver.remove(account.device, list(ghosts), Fence(OPERATOR, LATE))
        name = bmc_username_of(A)
        assert oob.control.accounts(names[0]) == {
            **oob.settings.golden_accounts,
            name: oob.settings.tenant_role,
        }
        oob.control.change_role(names[0], name, "Administrator")
        seen = (await oob.driver.observe([account.device])).entries[account.device]
        assert seen == {BmcAccount(names[0], name, "")}
        await oob.driver.ensure(account.device, [account], Fence(A, 1))
        assert oob.control.accounts(names[0])[name] == oob.settings.tenant_role

    asyncio.run(run())


def test_a_full_table_is_refused_and_leaves_nothing(oob):
    node = nodes(oob)[0]

    async def run():
        for number in range(14):
            oob.control.plant_account(node, f"u{number}", "Filler-123", "ReadOnly")
        account = entries_of(A, [node])[0]
        with pytest.raises(DriverPermanentError, match="slot"):
            await oob.driver.ensure(account.device, [account], Fence(A, 1))
        assert bmc_username_of(A) not in oob.control.accounts(node)
        assert oob.secrets.kept == {}

    asyncio.run(run())


def test_a_bmc_that_hangs_is_unreachable_in_time_and_costs_the_others_nothing(oob):
    names = nodes(oob)
    driver = oob.open(connect_s_max=2.0, request_s_max=4.0, call_s_max=8.0)

    async def run():
        for hangs in ("accept", "request"):
            oob.control.set_faults(names[0], Faults(hangs=hangs))
            began_s = monotonic()
            slow = asyncio.ensure_future(driver.observe([DeviceId(f"bmc/{names[0]}")]))
            others = await driver.observe([DeviceId(f"bmc/{node}") for node in names[1:]])
            assert not others.unreachable
            assert (await slow).unreachable == {f"bmc/{names[0]}"}
            assert monotonic() - began_s < 20
        account = entries_of(A, names[:1])[0]
        with pytest.raises(DriverRetryableError):
            await driver.ensure(account.device, [account], Fence(A, 1))

    asyncio.run(run())


def test_a_bmc_that_lies_is_not_believed(oob):
    node = nodes(oob)[0]

    async def run():
        account = entries_of(A, [node])[0]
        oob.control.set_faults(node, Faults(lies=True))
        with pytest.raises(DriverPermanentError, match="does not have it"):
            await oob.driver.ensure(account.device, [account], Fence(A, 1))
        oob.control.set_faults(node, Faults())
        await oob.driver.ensure(account.device, [account], Fence(A, 1))
        oob.control.set_faults(node, Faults(lies=True))
        with pytest.raises(DriverPermanentError, match="still has it"):
            await oob.driver.remove(account.device, [account], Fence(A, 1))
        assert (await oob.driver.observe([account.device])).entries[account.device] == {account}

    asyncio.run(run())


def test_a_bmc_that_restarts_is_tried_again_and_carries_on(oob):
    node = nodes(oob)[0]

    async def run():
        account = entries_of(A, [node])[0]
        oob.control.restart(node)
        with pytest.raises(DriverRetryableError):
            await oob.driver.ensure(account.device, [account], Fence(A, 1))
        until_s = monotonic() + 30
        while True:
            try:
                await oob.driver.ensure(account.device, [account], Fence(A, 1))
                break
            except DriverRetryableError:
                assert monotonic() < until_s
        assert (await oob.driver.observe([account.device])).entries[account.device] == {account}

    asyncio.run(run())


def test_a_transaction_with_a_bad_element_changes_nothing(oob):
    names = nodes(oob)
    asyncio.run(give(oob, A, names[:1]))
    before = nft("list", "table", "bridge", "gigawatt_oob").stdout
    good = '"mgmt" . 100.127.0.9 . 100.64.0.11'
    bad = f"add element bridge gigawatt_oob allow {{ {good} }}\n"
    bad += "delete element bridge gigawatt_oob allow { " + '"mgmt" . 100.127.0.8 . 100.64.0.11 }'
    assert nft("-f", "-", stdin=bad).returncode != 0
    assert nft("list", "table", "bridge", "gigawatt_oob").stdout == before
    assert nft("-f", "-", stdin=bad.partition("\n")[0]).returncode == 0
    assert nft("list", "table", "bridge", "gigawatt_oob").stdout != before


def test_a_way_opened_by_hand_is_seen_for_what_it_is_and_shut(oob):
    names = nodes(oob)
    at = [str(oob.settings.reach.bmcs[node].ipv4) for node in names]

    async def run():
        await give(oob, A, names[:1])
        for line in (
            f'allow {{ "bmc0" . {at[0]} . {at[1]} }}',
            f'allow {{ "mgmt" . 100.127.0.9 . {at[2]} }}',
            f'back {{ "bmc3" . {at[3]} . 100.127.0.9 }}',
        ):
            assert nft("add", "element", "bridge", "gigawatt_oob", line).returncode == 0
        seen = (await oob.driver.observe([SWITCH])).entries[SWITCH]
        strangers = {
            BmcRoute(SITE, f"bmc:{names[0]}", names[1]),
            BmcRoute(SITE, "address:100.127.0.9", names[2]),
            BmcRoute(SITE, "address:100.127.0.9", names[3]),
        }
        assert seen == {entries_of(A, names[:1])[1], *strangers}
        await oob.driver.remove(SWITCH, list(strangers), Fence(OPERATOR, LATE))
        seen = (await oob.driver.observe([SWITCH])).entries[SWITCH]
        assert seen == {entries_of(A, names[:1])[1]}

    asyncio.run(run())


def test_rules_that_are_not_ours_are_never_built_upon(oob):
    names = nodes(oob)
    route = entries_of(A, names[:1])[1]

    async def run():
        for words in (
            ("insert", "rule", "bridge", "gigawatt_oob", "acl", "accept"),
            ("add", "chain", "bridge", "gigawatt_oob", "acl", "{ policy accept; }"),
            ("add", "element", "bridge", "gigawatt_oob", "bound", '{ "bmc0" . 100.64.0.11 }'),
            ("delete", "table", "bridge", "gigawatt_oob"),
        ):
            assert nft(*words).returncode == 0
            assert (await oob.driver.observe([SWITCH])).unreachable == {SWITCH}
            with pytest.raises((DriverRetryableError, DriverPermanentError)):
                await oob.driver.ensure(SWITCH, [route], Fence(A, 1))
            await oob.driver.routes.lay_down(SITE)
            assert (await oob.driver.observe([SWITCH])).entries == {SWITCH: frozenset()}

    asyncio.run(run())


def test_while_one_tenant_changes_another_is_neither_let_in_nor_cut_off(oob):
    names = nodes(oob)

    async def run():
        proxy = await give(oob, A, names[:1])
        route = BmcRoute(SITE, cluster_source_of(B), names[1])
        looks: list[tuple[bool, bool]] = []
        ended = threading.Event()

        def look() -> None:
            while not ended.is_set():
                looks.append((reaches(oob, proxy, names[0]), at_once(proxy, names[1])))

        def at_once(source: str, node: NodeId) -> bool:
            return curl("-m", "0.3", "--interface", source, url(oob, node)) == 200

        thread = threading.Thread(target=look)
        thread.start()
        for _ in range(10):
            await oob.driver.ensure(SWITCH, [route], Fence(B, 1))
            await oob.driver.remove(SWITCH, [route], Fence(B, 1))
        ended.set()
        thread.join()
        assert len(looks) >= 2
        assert set(looks) == {(True, False)}

    asyncio.run(run())


def test_an_image_is_fetched_over_the_network_and_the_host_is_powered(oob, tmp_path):
    node = nodes(oob)[0]
    (tmp_path / "boot.iso").write_bytes(b"image" * 1_000)

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words):
            super().__init__(*words, directory=str(tmp_path))

        def log_message(self, *words):
            pass

    async def run():
        bmc = open_bmc(oob.settings.reach, node)
        await bmc.insert_media(f"http://{MANAGEMENT_BMC_SIDE}:{MEDIA_PORT}/boot.iso")
        await bmc.boot_once_from("cd")
        await bmc.power_on()
        assert (await bmc.power_state()).power == "on"
        fetched = oob.lab.folder / "oob" / "media" / f"{node}.iso"
        assert fetched.read_bytes() == (tmp_path / "boot.iso").read_bytes()
        await bmc.eject_media()
        assert not fetched.exists()
        await bmc.power_off()
        assert (await bmc.power_state()).power == "off"
        assert (await bmc.firmware_versions())["BMC"] == "1.2.3"
        oob.control.set_firmware(node, "BMC", "6.6.6")
        assert (await bmc.firmware_versions())["BMC"] == "6.6.6"

    with http.server.ThreadingHTTPServer((MANAGEMENT_BMC_SIDE, MEDIA_PORT), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asyncio.run(run())
        server.shutdown()
