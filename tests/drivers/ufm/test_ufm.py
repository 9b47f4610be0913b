"""Goal: what UFM says is not believed, and whatever it does leaves a change whole or undone.

Method: our emulator of UFM fails in each of the ways that servers do, over a file alone and over a
real OpenSM; what it lists, what ports hold and what the SM's PathRecord says is compared. The form
of requests is held to the public guide.
"""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from gigawatt.app.site_file import parse_site
from gigawatt.boundary.entries import DEFAULT_P_KEY, PartitionMember
from gigawatt.boundary.plane import PLANES
from gigawatt.drivers.ufm.settings import UfmSettings
from gigawatt.errors import DriverPermanentError, DriverRetryableError, InputError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import Endpoint, Fence
from gigawatt.lab.fabric import missing_tools
from gigawatt.lab.ufm import BANNER, UfmEmulator
from gigawatt.units import PIB
from running_fabric import RunningFabric
from running_ufm import SECRET, driver_of, emulator_of, file_only, settings_of

FLEET = build_fleet(
    "ufm",
    [
        BlockSpec(
            site_id="s",
            country="US",
            hall_id="h",
            node_type=HGX_H100,
            node_count=8,
            node_prefix="h",
            fabric_id="ib0",
            storage_bytes=PIB,
            nodes_per_leaf_group=8,
            leaf_groups_per_pod=1,
        )
    ],
)
DEVICE = DeviceId("fabric/ib0")
A, B = ClusterId("clu_a"), ClusterId("clu_b")
needs_opensm = [
    pytest.mark.ibsim,
    pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed"),
]


def guid(node: int, rail: int) -> int:
    return int(FLEET.nics.guid[int(FLEET.first_nic_of_node[node]) + rail])


def whole(p_key: int, nodes: range) -> list[PartitionMember]:
    return [PartitionMember("ib0", p_key, guid(n, r), "full") for n in nodes for r in range(8)]


HELD = [*whole(0x10, range(2)), *whole(0x11, range(2, 4))]


class Bench:
    """An emulator, a driver of it, and two clusters."""

    def __init__(self, emulator: UfmEmulator, folder: Path, **more: object) -> None:
        self.emulator = emulator
        self.driver = driver_of(FLEET, settings_of(emulator, **more), folder)

    def ensure(self, entries, fence: Fence) -> None:
        asyncio.run(self.driver.ensure(DEVICE, entries, fence))

    def remove(self, entries, fence: Fence) -> None:
        asyncio.run(self.driver.remove(DEVICE, entries, fence))

    def two_tenants(self) -> None:
        self.ensure(whole(0x10, range(2)), Fence(A, 1))
        self.ensure(whole(0x11, range(2, 4)), Fence(B, 1))
        self.emulator.requests.clear()

    def held(self) -> set[PartitionMember] | None:
        seen = asyncio.run(self.driver.observe([DEVICE])).entries.get(DEVICE)
        return None if seen is None else set(seen)


@pytest.fixture
def bench(tmp_path) -> Iterator[Bench]:
    emulator = emulator_of(file_only(FLEET, tmp_path))
    emulator.start()
    bench = Bench(emulator, tmp_path / "driver", change_s_max=0.2)
    yield bench
    bench.driver.close()
    emulator.stop()


@pytest.fixture(scope="module")
def running() -> Iterator[RunningFabric]:
    fabric = RunningFabric(FLEET)
    yield fabric
    fabric.close()


@pytest.fixture
def real(running, tmp_path) -> Iterator[Bench]:
    running.emptied()
    emulator = emulator_of(running.lab.fabric)
    emulator.start()
    bench = Bench(emulator, tmp_path / "driver", change_s_max=2.0)
    yield bench
    bench.driver.close()
    emulator.stop()


def written(bench: Bench) -> list[tuple[str, str]]:
    return [(m, path) for m, path in bench.emulator.requests if m != "GET"]


def test_a_change_is_one_list_for_each_p_key(bench):
    bench.two_tenants()
    bench.ensure([*whole(0x12, range(4, 8)), *whole(0x13, range(4, 6))], Fence(A, 2))
    assert written(bench) == [("POST", "/ufmRest/resources/pkeys/")] * 2
    bench.emulator.requests.clear()
    bench.remove([*whole(0x12, range(4, 8)), *whole(0x13, range(4, 5))], Fence(A, 3))
    assert written(bench) == [
        ("DELETE", "/ufmRest/resources/pkeys/0x12"),
        ("PUT", "/ufmRest/resources/pkeys/"),
    ]
    assert bench.held() == {*HELD, *whole(0x13, range(5, 6))}


def test_a_repeat_sends_nothing(bench):
    bench.two_tenants()
    bench.ensure(whole(0x10, range(2)), Fence(A, 1))
    bench.remove(whole(0x12, range(2)), Fence(A, 1))
    assert written(bench) == []


NEW = [
    PartitionMember("ib0", 0x10, guid(0, 0), "limited"),
    *whole(0x10, range(4, 5)),
    *whole(0x12, range(4, 5)),
]


@pytest.mark.parametrize("fault", ["job", "lost_answer"])
def test_what_was_done_counts_however_it_was_answered(bench, fault):
    bench.two_tenants()
    bench.emulator.faults += [fault, None]
    bench.ensure(NEW[:9], Fence(A, 2))
    assert bench.held() == {*HELD[1:], *NEW[:9]}


@pytest.mark.parametrize("fault", ["error_500", "refused", "partial", "job_fails"])
@pytest.mark.parametrize("at", [0, 1], ids=["first", "second"])
def test_a_change_that_fails_is_undone(bench, fault, at):
    bench.two_tenants()
    bench.emulator.faults += [None] * at + [fault]
    kind = DriverPermanentError if fault == "refused" else DriverRetryableError
    with pytest.raises(kind, match="what was before is back"):
        bench.ensure(NEW, Fence(A, 2))
    assert bench.held() == set(HELD)
    bench.ensure(NEW, Fence(A, 2))
    assert bench.held() == {*HELD[1:], *NEW}


@pytest.mark.parametrize("fault", ["error_500", "partial", "job_fails", "lost_answer"])
def test_a_removal_is_whole_or_undone(bench, fault):
    bench.two_tenants()
    bench.emulator.faults.append(fault)
    if fault == "lost_answer":
        bench.remove(whole(0x10, range(2)), Fence(A, 2))
        assert bench.held() == set(HELD[16:])
        return
    with pytest.raises(DriverRetryableError, match="what was before is back"):
        bench.remove(whole(0x10, range(2)), Fence(A, 2))
    assert bench.held() == set(HELD)
    bench.remove(whole(0x10, range(2)), Fence(A, 2))
    assert bench.held() == set(HELD[16:])


def test_an_undo_that_fails_is_said(bench):
    bench.two_tenants()
    bench.emulator.faults += ["partial", None, "error_500"]
    with pytest.raises(DriverRetryableError, match=r"nor is what was before back: .* 500"):
        bench.ensure(NEW, Fence(A, 2))
    bench.ensure(NEW, Fence(A, 2))
    assert bench.held() == {*HELD[1:], *NEW}


def test_a_partition_of_another_cluster_is_not_joined(bench):
    bench.two_tenants()
    with pytest.raises(DriverPermanentError, match="partition 0x0010 is held by clu_a"):
        bench.ensure(whole(0x10, range(5, 6)), Fence(B, 2))
    with pytest.raises(DriverPermanentError, match="0x7fff"):
        bench.ensure([PartitionMember("ib0", DEFAULT_P_KEY, guid(0, 0), "full")], Fence(B, 2))
    with pytest.raises(DriverPermanentError, match="has no NIC"):
        bench.ensure([PartitionMember("ib0", 0x11, 1, "full")], Fence(B, 2))
    assert written(bench) == []


def test_a_port_takes_no_more_than_one_block_of_its_table(bench):
    many = [PartitionMember("ib0", p_key, guid(0, 0), "full") for p_key in range(1, 33)]
    bench.ensure(many[:31], Fence(A, 1))
    with pytest.raises(DriverPermanentError, match=r"is full \(32\)"):
        bench.ensure(many[31:], Fence(A, 2))


def test_a_wrong_password_is_an_error_that_does_not_show_it(bench, tmp_path):
    bench.emulator.secret = "another"  # noqa: S105
    with pytest.raises(DriverPermanentError, match="401") as caught:
        bench.ensure(NEW, Fence(A, 2))
    assert SECRET not in str(caught.value) + caught.value.next_step
    assert bench.held() is None


def test_a_token_signs_in_at_its_own_door(bench, tmp_path):
    token = Bench(bench.emulator, tmp_path / "other", sign_in="token", username="")
    token.ensure(NEW, Fence(A, 1))
    assert {path.split("/")[1] for _, path in bench.emulator.requests} == {"ufmRestV3"}
    token.driver.close()


def test_a_ufm_that_is_away_is_named(bench):
    bench.emulator.stop()
    bench.emulator._thread.join()
    with pytest.raises(DriverRetryableError, match="UFM at http://127"):
        bench.ensure(NEW, Fence(A, 2))
    assert bench.held() is None
    bench.emulator._server, bench.emulator._thread = (
        (other := emulator_of(bench.emulator.fabric))._server,
        other._thread,
    )
    bench.emulator._thread.start()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": "http://ufm.example"}, "wanted https"),
        ({"url": "https://ufm.example/ufmRest"}, "without a path"),
        ({"url": "https://admin:x@ufm.example"}, "credentials"),
        ({"sign_in": "token"}, "username goes with"),
        ({"username": ""}, "username goes with"),
        ({"is_ufm_enough": False}, "no subnet is given"),
        ({"request_s_max": 0}, "greater than 0"),
        ({"password": "x"}, "Extra inputs"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(change, reason):
    given = {
        "fabric_id": "ib0",
        "url": "https://ufm.example",
        "username": "admin",
        "secret_ref": "ufm",
        "is_ufm_enough": True,
    }
    UfmSettings.model_validate(given)
    with pytest.raises(ValidationError, match=reason):
        UfmSettings.model_validate({**given, **change})


def test_a_site_file_names_it():
    text = """
fabric:
- driver: ufm
  fabric_id: ib0
  url: https://ufm.example
  username: gigawatt
  secret_ref: ufm/password
  subnets: [{adapter: mlx5_0, adapter_port: 1}]
  manager_guids: [0x0002c90300000001]
"""
    fakes = "".join(f"{plane}: [{{driver: fake}}]\n" for plane in PLANES[1:])
    part = parse_site(text + fakes).parts[0]
    assert isinstance(part.settings, UfmSettings)
    assert part.settings.manager_guids == (0x0002C90300000001,)
    with pytest.raises(InputError, match="wanted https"):
        parse_site(text.replace("https:", "http:") + fakes)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine's loopback that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ufm-emulator")])
    began = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(began)
        .not_valid_after(began + datetime.timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "ufm.crt", folder / "ufm.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_only_a_ufm_that_is_vouched_for_is_told_the_password(tmp_path):
    crt, key = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(crt, key)
    emulator = UfmEmulator(file_only(FLEET, tmp_path), "admin", SECRET, tls)
    emulator.start()
    stranger = Bench(emulator, tmp_path / "stranger")
    known = Bench(emulator, tmp_path / "known", ca_path=crt)
    try:
        with pytest.raises(DriverRetryableError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.ensure(NEW, Fence(A, 1))
        assert emulator.requests == []
        known.ensure(NEW, Fence(A, 1))
        assert known.held() == set(NEW)
    finally:
        known.driver.close()
        stranger.driver.close()
        emulator.stop()


def test_the_emulator_says_that_it_is_one():
    assert "not UFM" in BANNER


class TestOverOpensm:
    pytestmark = needs_opensm

    def test_two_clusters_are_apart_and_leave_nothing(self, real, running):
        real.two_tenants()
        within, across = [(guid(0, 0), guid(1, 0))], [(guid(0, 0), guid(2, 0))]
        assert running.paths(within + across) == [True, False]
        assert real.held() == set(HELD)
        ends = [Endpoint(FLEET.node_id(n), 0) for n in range(3)]
        assert asyncio.run(real.driver.probe([(ends[0], ends[1]), (ends[0], ends[2])])) == (
            True,
            False,
        )
        real.remove(HELD, Fence(A, 2))
        real.remove(HELD, Fence(B, 2))
        assert running.tables() == {frozenset({0x7FFF})}

    def test_what_ufm_lists_but_no_port_holds_is_not_believed(self, real, running):
        real.two_tenants()
        real.emulator.faults.append("no_sweep")
        with pytest.raises(DriverRetryableError, match=r"does not hold what UFM lists.*is back"):
            real.ensure(NEW[:9], Fence(A, 2))
        assert real.held() == set(HELD)
        assert not any(running.paths([(guid(0, 0), guid(4, 0))]))

    def test_a_removal_that_ufm_lists_but_no_port_shows_is_not_believed(self, real, running):
        real.two_tenants()
        real.emulator.faults.append("no_sweep")
        with pytest.raises(DriverRetryableError, match=r"does not hold what UFM lists.*is back"):
            real.remove(whole(0x10, range(1)), Fence(A, 2))
        assert real.held() == set(HELD)
        real.remove(whole(0x10, range(1)), Fence(A, 2))
        assert running.paths([(guid(0, 0), guid(1, 0))]) == [False]

    def test_what_ufm_lists_behind_our_back_is_neither_right_nor_absent(self, real):
        real.two_tenants()
        real.emulator._listing[0x10].pop(guid(0, 0))
        real.emulator._listing[0x10][guid(7, 0)] = "full"
        seen = real.held()
        assert PartitionMember("ib0", 0x10, guid(7, 0), "limited") in seen
        assert PartitionMember("ib0", 0x10, guid(0, 0), "full") in seen

    def test_a_port_that_is_not_on_the_fabric_is_not_promised(self, real, running):
        subnet = running.lab.subnets[0]
        name = f"H-{guid(7, 0) - 1:016x}"
        subnet.console(f'Unlink "{name}"')
        running.until(lambda: guid(7, 0) not in {port.guid for port in running.ports()})
        with pytest.raises(DriverRetryableError, match="does not see port"):
            real.ensure(whole(0x10, range(7, 8)), Fence(A, 1))
        assert written(real) == []
        subnet.console(f'ReLink "{name}"')
        running.until(lambda: guid(7, 0) in {port.guid for port in running.ports()})
