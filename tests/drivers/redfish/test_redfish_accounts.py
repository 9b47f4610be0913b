"""Accounts on BMCs of all kinds that we know.

Goal: whatever way a BMC makes accounts, and however it fails, an account is there with its role and
its password or is not, secrets are kept exactly as long, and none is told to anybody.
Method: the driver over loopback against simulated BMCs of each kind; the simulator's side door says
what is really there, sushy and plain logins what can be used.
"""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import BmcAccount
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.redfish.account_table import session
from gigawatt.drivers.redfish.bmc import open_bmc
from gigawatt.drivers.redfish.bounded import STUCK_MAX, Bounded, Deadline
from gigawatt.drivers.redfish.connection import connector_to, said
from gigawatt.drivers.redfish.opening import RedfishDriver, open_redfish
from gigawatt.drivers.redfish.password import LENGTH_MAX, is_fit, password_of
from gigawatt.drivers.redfish.settings import RedfishSettings
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import Fence
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec
from gigawatt.lab.redfish.accounts import SESSIONS_MAX
from gigawatt.lab.redfish.faults import Faults
from memory_secrets import MemorySecrets
from simulated_bmcs import GOLDEN, SimulatedBmcs

FLEET: Fleet = lab_fleet(LabSpec(node_count=2))
N0, N1 = (NodeId(name) for name in FLEET.nodes.ids)
BMC = DeviceId(f"bmc/{N0}")
ACCOUNT = BmcAccount(N0, "gw0123456789abcd", "bmc/clu_a/n0")
A = ClusterId("clu_a")
KINDS: dict[str, dict[str, Any]] = {
    "posts, takes roles": {},
    "slots, takes roles": {"account_style": "slots"},
    "posts, has its roles": {"takes_roles": False},
    "slots, has its roles": {"account_style": "slots", "takes_roles": False},
}


class Site:
    """Two BMCs, secrets and a driver."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.bmcs = SimulatedBmcs([N0, N1], **config)
        self.control = self.bmcs.control
        self.secrets = MemorySecrets()
        self.settings = RedfishSettings(reach=self.bmcs.reach, switches={}, golden_accounts=GOLDEN)
        receipts: Any = None
        opening = Opening(FLEET, SystemClock(), self.secrets, receipts, folder)
        self.driver: RedfishDriver = open_redfish(self.settings, opening)

    def logs_in(self, username: str, password: str, node: NodeId = N0) -> bool:
        reach = self.bmcs.reach
        connector = connector_to(reach.bmcs[node], reach, Deadline(5.0))
        try:
            with said(BMC, "log in"), session(connector, username, password):
                return True
        except DriverError:
            return False
        finally:
            connector.close()

    async def held(self) -> frozenset[Any]:
        return (await self.driver.observe([BMC])).entries[BMC]


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def site(request, tmp_path) -> Iterator[Site]:
    site = Site(tmp_path, **request.param)
    yield site
    site.bmcs.close()


@pytest.fixture
def plain(tmp_path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.bmcs.close()


def test_an_account_comes_with_the_least_role_rotates_and_goes(site):
    async def run():
        await site.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        takes_roles = site.bmcs.simulator.bmcs[N0].config.takes_roles
        role = "GigawattTenant" if takes_roles else "Operator"
        assert site.control.accounts(N0) == {**GOLDEN, ACCOUNT.username: role}
        assert await site.held() == {ACCOUNT}
        first = site.secrets.read(ACCOUNT.secret_ref)
        assert site.logs_in(ACCOUNT.username, first)
        assert not site.logs_in(ACCOUNT.username, first, N1)
        await site.driver.rotate(ACCOUNT)
        second = site.secrets.read(ACCOUNT.secret_ref)
        assert second != first
        assert site.logs_in(ACCOUNT.username, second)
        assert not site.logs_in(ACCOUNT.username, first)
        assert await site.held() == {ACCOUNT}
        await site.driver.remove(BMC, [ACCOUNT], Fence(A, 1))
        assert site.control.accounts(N0) == GOLDEN
        assert site.secrets.kept == {}
        assert not site.bmcs.simulator.bmcs[N0].accounts.sessions

    asyncio.run(run())


def test_sessions_of_an_account_end_with_it(plain):
    async def run():
        await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        reach = plain.bmcs.reach
        connector = connector_to(reach.bmcs[N0], reach, Deadline(20.0))
        password = plain.secrets.read(ACCOUNT.secret_ref)
        with said(BMC, "log in"), session(connector, ACCOUNT.username, password):
            path = "/redfish/v1/Systems/1"
            assert connector.get(path).status_code == 200
            await plain.driver.remove(BMC, [ACCOUNT], Fence(A, 1))
            with pytest.raises(DriverPermanentError), said(BMC, "look"):
                connector.get(path)
        connector.close()

    asyncio.run(run())


def test_a_tenant_may_power_its_host_and_neither_users_nor_the_bmc(plain):
    async def run():
        await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        reach = plain.bmcs.reach
        connector = connector_to(reach.bmcs[N0], reach, Deadline(20.0))
        password = plain.secrets.read(ACCOUNT.secret_ref)
        root = "/redfish/v1"
        own = f"{root}/AccountService/Accounts/3"
        with said(BMC, "log in"), session(connector, ACCOUNT.username, password):
            reset = f"{root}/Systems/1/Actions/ComputerSystem.Reset"
            assert connector.post(reset, data={"ResetType": "On"}).status_code == 204
            for path, body in {
                f"{root}/AccountService/Accounts": {"UserName": "x"},
                f"{root}/Managers/1/Actions/Manager.Reset": {"ResetType": "ForceRestart"},
            }.items():
                with pytest.raises(DriverPermanentError), said(BMC, "do it"):
                    connector.post(path, data=body)
            with pytest.raises(DriverPermanentError), said(BMC, "do it"):
                connector.patch(own, data={"Password": "Another-123"})
        connector.close()

    asyncio.run(run())


def test_a_role_of_ours_that_somebody_widened_is_seen_and_narrowed(plain):
    async def run():
        await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        roles = plain.bmcs.simulator.bmcs[N0].accounts.roles
        narrow = roles["GigawattTenant"]
        roles["GigawattTenant"] = (*narrow, "ConfigureUsers")
        assert await plain.held() == {BmcAccount(N0, ACCOUNT.username, "")}
        await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        assert roles["GigawattTenant"] == narrow
        assert await plain.held() == {ACCOUNT}

    asyncio.run(run())


@pytest.mark.parametrize(
    "faults",
    [
        Faults(error_share=1.0, error_status=503),
        Faults(drop_after_bytes=40),
        Faults(hangs="request"),
        Faults(hangs="accept"),
        Faults(delay_s=3.0),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again_and_is_unreachable_meanwhile(plain, faults):
    async def run():
        plain.control.set_faults(N0, faults)
        with pytest.raises(DriverRetryableError, match=N0):
            await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        assert (await plain.driver.observe([BMC])).unreachable == {BMC}
        plain.control.set_faults(N0, Faults())
        await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        assert await plain.held() == {ACCOUNT}

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(6))
def test_errors_now_and_then_leave_nothing_half_done(plain, seed):
    async def run():
        plain.control.set_faults(N0, Faults(error_share=0.15, error_seed=seed))
        for _ in range(40):
            try:
                await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
                break
            except DriverRetryableError:
                continue
        plain.control.set_faults(N0, Faults())
        assert await plain.held() == {ACCOUNT}
        assert plain.logs_in(ACCOUNT.username, plain.secrets.read(ACCOUNT.secret_ref))

    asyncio.run(run())


def test_who_takes_all_sessions_shuts_nobody_out(plain):
    async def run():
        await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        password = plain.secrets.read(ACCOUNT.secret_ref)
        accounts = plain.bmcs.simulator.bmcs[N0].accounts
        tenant = accounts.log_in(ACCOUNT.username, password)
        while len(accounts.sessions) < SESSIONS_MAX:
            accounts.open_session(tenant)
        assert await plain.held() == {ACCOUNT}
        bmc = open_bmc(plain.bmcs.reach, N0)
        assert (await bmc.power_state()).power == "off"
        assert plain.logs_in(ACCOUNT.username, password)
        assert not plain.logs_in(ACCOUNT.username, "Another-Password-1")
        await plain.driver.rotate(ACCOUNT)
        assert not accounts.sessions
        tenant = accounts.log_in(ACCOUNT.username, plain.secrets.read(ACCOUNT.secret_ref))
        while len(accounts.sessions) < SESSIONS_MAX:
            accounts.open_session(tenant)
        await plain.driver.remove(BMC, [ACCOUNT], Fence(A, 1))
        assert not accounts.sessions
        assert plain.control.accounts(N0) == GOLDEN

    asyncio.run(run())


def test_who_shows_another_certificate_hears_no_password(plain):
    wrong = plain.bmcs.reach.bmcs[N0].model_copy(update={"fingerprint": "00" * 32})
    reach = plain.bmcs.reach.model_copy(update={"bmcs": {N0: wrong}})
    settings = plain.settings.model_copy(update={"reach": reach})
    receipts: Any = None
    opening = Opening(FLEET, SystemClock(), plain.secrets, receipts, plain.bmcs.folder / "x")
    driver = open_redfish(settings, opening)
    before = plain.control.request_count(N0)
    with pytest.raises(DriverPermanentError, match="Fingerprints") as caught:
        asyncio.run(driver.ensure(BMC, [ACCOUNT], Fence(A, 1)))
    assert plain.control.request_count(N0) == before
    assert "certificate" in caught.value.next_step


def test_no_password_is_in_a_log_or_an_error(plain, caplog):
    caplog.set_level(logging.DEBUG)
    errors: list[str] = []

    async def run():
        await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        first = plain.secrets.read(ACCOUNT.secret_ref)
        plain.control.set_faults(N0, Faults(lies=True))
        other = BmcAccount(N0, "other", "bmc/clu_a/other")
        plain.secrets.put("bmc/clu_a/other", "Known-Secret-1234567")
        with pytest.raises(DriverPermanentError) as caught:
            await plain.driver.ensure(BMC, [other], Fence(A, 1))
        errors.append(repr(caught.value) + caught.value.next_step)
        return first

    first = asyncio.run(run())
    told = "\n".join([*errors, *(record.getMessage() for record in caplog.records)])
    for secret in (first, "Known-Secret-1234567", "Operator-1"):
        assert secret not in told
    with pytest.raises(DriverError) as caught, said(BMC, "x", (first,)):
        raise ValueError(f"the value {first} of Password is wrong")
    assert first not in str(caught.value)


def test_an_account_that_is_off_the_list_and_still_let_in_is_not_gone(site):
    async def run():
        await site.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        site.control.set_faults(N0, Faults(hides=True))
        for _ in range(2):
            with pytest.raises(DriverPermanentError, match="left, and still lets it in"):
                await site.driver.remove(BMC, [ACCOUNT], Fence(A, 2))
            assert site.control.accounts(N0) == GOLDEN, "by its list it is gone"
            assert {entry.key for entry in await site.held()} == {ACCOUNT.key}
            assert site.logs_in(ACCOUNT.username, site.secrets.read(ACCOUNT.secret_ref))
        site.control.set_faults(N0, Faults())
        await site.driver.remove(BMC, [ACCOUNT], Fence(A, 2))
        assert await site.held() == frozenset()

    asyncio.run(run())


def test_a_bmc_that_does_not_say_who_is_let_in_is_asked_again(plain):
    async def run():
        await plain.driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        plain.control.set_faults(N0, Faults(lies=True))
        with pytest.raises(DriverPermanentError, match="still has it"):
            await plain.driver.remove(BMC, [ACCOUNT], Fence(A, 2))
        assert await plain.held() == {ACCOUNT}
        plain.control.set_faults(N0, Faults(hangs="request"))
        with pytest.raises(DriverRetryableError):
            await plain.driver.remove(BMC, [ACCOUNT], Fence(A, 2))
        assert BMC in (await plain.driver.observe([BMC])).unreachable
        plain.control.set_faults(N0, Faults())
        await plain.driver.remove(BMC, [ACCOUNT], Fence(A, 2))
        assert plain.control.accounts(N0) == GOLDEN
        assert plain.secrets.kept == {}

    asyncio.run(run())


def test_a_secret_that_no_bmc_takes_is_made_anew():
    kept = MemorySecrets()
    kept.put("long", "x" * 64)
    password = password_of(kept, "long", 16)
    assert is_fit(password, 16)
    assert kept.read("long") == password == password_of(kept, "long", 16)
    assert not is_fit("Aa1" * 8, LENGTH_MAX)


def test_a_golden_name_or_no_name_is_refused(plain):
    async def run():
        for username in ("operator", "", "a b", "x" * 17, "-x", "ä"):
            with pytest.raises(DriverPermanentError):
                await plain.driver.ensure(BMC, [BmcAccount(N0, username, "s")], Fence(A, 1))
        assert plain.control.accounts(N0) == GOLDEN

    asyncio.run(run())


def test_calls_that_never_end_are_few_and_others_run():
    bounded = Bounded()

    async def run():
        hold = Event()
        for _ in range(STUCK_MAX):
            with pytest.raises(DriverRetryableError, match="no answer"):
                await bounded.run(BMC, 0.01, lambda _: hold.wait())
        with pytest.raises(DriverRetryableError, match="stuck"):
            await bounded.run(BMC, 0.01, lambda _: hold.wait())
        assert await bounded.run(DeviceId("bmc/other"), 5.0, lambda _: 7) == 7
        hold.set()

    asyncio.run(run())
