"""The lab's out-of-band network: a switch that drops, and a BMC behind each of its ports."""

import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from gigawatt.boundary.plane import Plane
from gigawatt.drivers.redfish.ruleset import SwitchPlan
from gigawatt.drivers.redfish.settings import BmcAddress, BmcReach, OobSwitch, RedfishSettings
from gigawatt.errors import InputError
from gigawatt.ids import NodeId, SiteId
from gigawatt.lab.layout import (
    MANAGEMENT_BMC_SIDE,
    MEDIA_PORT,
    OOB_INTERFACE,
    OOB_PREFIX_LENGTH,
    PROXY_NETWORK,
)
from gigawatt.lab.redfish.certificate import make_certificate
from gigawatt.lab.redfish.config import BmcConfig, SimulatorConfig
from gigawatt.lab.redfish.control import Control
from gigawatt.lab.running import SAID_MAX, Running

SWITCH = "oob"
BRIDGE, MANAGEMENT_SWITCH_PORT = "br0", "mgmt"
OPERATOR, FACTORY = "operator", "factory"
GOLDEN_ACCOUNTS = {OPERATOR: "Administrator", FACTORY: "ReadOnly"}
"""Accounts that every BMC of a lab comes with."""
PROGRAM = "redfish"


class OobPart:
    """A bridge with BMCs, and the management node at one of its ports."""

    def __init__(self, power_command: tuple[str, ...] = (), slot_count: int = 16) -> None:
        """Let bare-metal nodes be powered by ``power_command``, see ``lab.redfish``.

        It is that of the lab's machines, so whether one is on is read from the kernel.

        A hypervisor's BMC remembers its state: the hypervisor is this machine.
        """
        self._power_command = power_command
        self._slot_count = slot_count

    @property
    def name(self) -> str:
        """What people call it."""
        return "oob"

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """Debian package of each program that it needs."""
        return {"nft": "nftables", "ip": "iproute2", "setpriv": "util-linux"}

    def start(self, lab: Running) -> None:
        """Lay the network, shut; start the BMCs; declare the driver.

        Raises:
            InputError: something does not come up.
        """
        folder = lab.folder / "oob"
        folder.mkdir(exist_ok=True)
        _make_links(lab)
        bmcs = self._configs(lab, folder)
        settings = _settings(lab, folder, bmcs)
        ((_, switch),) = settings.switches.items()
        plan = SwitchPlan(switch, {n: str(b.ipv4) for n, b in settings.reach.bmcs.items()})
        # Before any port is up: nobody reaches anybody for a moment either.
        lab.run(["nft", "-j", "-f", "-"], namespace=SWITCH, stdin=json.dumps(plan.document()))
        _raise_links(lab)
        _start_simulator(lab, folder, bmcs)
        lab.declare(
            Plane.OUT_OF_BAND, "redfish", settings.model_dump(mode="json", exclude={"driver"})
        )

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now."""
        program = lab.programs.get(PROGRAM)
        if program is None or program.poll() is not None:
            return f"the simulated BMCs have ended; see {lab.log_path(PROGRAM)}"
        return ""

    def _configs(self, lab: Running, folder: Path) -> list[tuple[BmcConfig, str]]:
        """Each BMC, and the fingerprint of its certificate."""
        found = []
        for row, node_id in enumerate(lab.fleet.nodes.ids):
            address, name = lab.layout.bmc_address(row), lab.layout.bmc_namespace(row)
            pem, fingerprint = make_certificate(name, address)
            path = folder / f"{name}.pem"
            _write_secret(path, pem.decode())
            is_bare = not lab.layout.is_hypervisor(row)
            own = Path(f"/run/netns/node{row}")
            config = BmcConfig(
                node_id=NodeId(node_id),
                namespace=f"/run/netns/{name}",
                ipv4=address,
                certificate_path=path,
                accounts=GOLDEN_ACCOUNTS,
                passwords={account: _password() for account in GOLDEN_ACCOUNTS},
                slot_count=self._slot_count,
                power_command=self._power_command if is_bare else (),
                machine_namespace=own if is_bare and self._power_command else None,
                power_w_on=round(lab.fleet.node_type(row).power_w_max),
            )
            found.append((config, fingerprint))
        return found


def control_of(lab: Running) -> Control:
    """The side door of the lab's BMCs."""
    return Control(lab.folder / "oob" / "control")


def _password() -> str:
    """A password to the policy of the simulated BMCs."""
    return f"Aa1{secrets.token_hex(8)}"


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _names(lab: Running) -> list[str]:
    return [lab.layout.bmc_namespace(row) for row in range(len(lab.fleet.nodes))]


def _make_links(lab: Running) -> None:
    """Namespaces, a bridge, and cables that are still down."""
    lab.run(
        ["ip", "-batch", "-"], stdin="".join(f"netns add {n}\n" for n in [SWITCH, *_names(lab)])
    )
    words = [f"link add {BRIDGE} netns {SWITCH} type bridge mcast_snooping 0"]
    words += [f"link add {OOB_INTERFACE} type veth peer {MANAGEMENT_SWITCH_PORT} netns {SWITCH}"]
    words += [f"link add {n} netns {SWITCH} type veth peer eth0 netns {n}" for n in _names(lab)]
    lab.run(["ip", "-batch", "-"], stdin="\n".join(words) + "\n")
    for row, name in enumerate(_names(lab)):
        address = f"{lab.layout.bmc_address(row)}/{OOB_PREFIX_LENGTH}"
        words = ["link set lo up", f"address add {address} dev eth0", "link set eth0 up"]
        lab.run(["ip", "-n", name, "-batch", "-"], stdin="\n".join(words) + "\n")
    own = f"{MANAGEMENT_BMC_SIDE}/{OOB_PREFIX_LENGTH}"
    words = [f"address add {own} dev {OOB_INTERFACE}", f"link set {OOB_INTERFACE} up"]
    lab.run(["ip", "-batch", "-"], stdin="\n".join(words) + "\n")


def _raise_links(lab: Running) -> None:
    """Bring the switch up."""
    ports = [MANAGEMENT_SWITCH_PORT, *_names(lab)]
    words = [f"link set {name} master {BRIDGE} up" for name in ports]
    words += ["link set lo up", f"link set {BRIDGE} up"]
    lab.run(["ip", "-n", SWITCH, "-batch", "-"], stdin="\n".join(words) + "\n")


def _settings(lab: Running, folder: Path, bmcs: list[tuple[BmcConfig, str]]) -> RedfishSettings:
    passwords = folder / "operator_passwords.json"
    _write_secret(passwords, json.dumps({b.node_id: b.passwords[OPERATOR] for b, _ in bmcs}))
    addresses = {
        bmc.node_id: BmcAddress.model_validate(
            {"ipv4": bmc.ipv4, "tcp_port": bmc.tcp_port, "fingerprint": fingerprint}
        )
        for bmc, fingerprint in bmcs
    }
    ports = zip(lab.fleet.nodes.ids, _names(lab), strict=True)
    switch = OobSwitch(
        switch_port_of_node={NodeId(node_id): name for node_id, name in ports},
        management_switch_port=MANAGEMENT_SWITCH_PORT,
        management_ipv4=MANAGEMENT_BMC_SIDE,
        media_tcp_port=MEDIA_PORT,
        proxy_network=PROXY_NETWORK,
        proxy_interface=OOB_INTERFACE,
        nft=("nsenter", f"--net=/run/netns/{SWITCH}", "--", "nft"),
    )
    return RedfishSettings(
        reach=BmcReach(bmcs=addresses, username=OPERATOR, passwords_path=passwords),
        switches={SiteId(lab.fleet.sites.ids[0]): switch},
        golden_accounts=GOLDEN_ACCOUNTS,
    )


def _start_simulator(lab: Running, folder: Path, bmcs: list[tuple[BmcConfig, str]]) -> None:
    config = SimulatorConfig(
        bmcs=tuple(bmc for bmc, _ in bmcs),
        folder=folder / "media",
        control_path=folder / "control",
    )
    config_path, ready_path = folder / "simulator.json", folder / "ready"
    ready_path.unlink(missing_ok=True)
    _write_secret(config_path, config.model_dump_json())
    words = [sys.executable, "-m", "gigawatt.lab.redfish", str(config_path), str(ready_path)]
    program = lab.spawn(PROGRAM, words)
    lab.until(lambda: ready_path.exists() or program.poll() is not None, "the simulated BMCs")
    if program.poll() is not None:
        said = lab.log_path(PROGRAM).read_text(errors="replace")[-SAID_MAX:]
        raise InputError(f"the simulated BMCs did not start: {said}")
