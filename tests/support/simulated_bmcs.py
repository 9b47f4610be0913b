"""Simulated BMCs over loopback for tests, with what a driver needs to reach them."""

import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gigawatt.drivers.redfish.settings import BmcAddress, BmcReach
from gigawatt.ids import NodeId
from gigawatt.lab.redfish.certificate import make_certificate
from gigawatt.lab.redfish.config import BmcConfig, SimulatorConfig
from gigawatt.lab.redfish.control import Control, ControlDoor
from gigawatt.lab.redfish.server import Simulator

OPERATOR, PASSWORD = "operator", "Operator-1"
FACTORY, FACTORY_PASSWORD = "factory", "Factory-11"
GOLDEN = {OPERATOR: "Administrator", FACTORY: "ReadOnly"}


class SimulatedBmcs:
    """BMCs of some nodes, listening on ports of their own; close them at the end."""

    def __init__(self, nodes: list[NodeId], power: tuple[str, ...] = (), **config: Any) -> None:
        self.nodes = nodes
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="gigawatt-bmc-")))
        self.folder = folder
        addresses = {}
        configs = []
        for node in nodes:
            pem, addresses[node] = make_certificate(f"bmc-{node}", "127.0.0.1")
            (folder / f"{node}.pem").write_bytes(pem)
            configs.append(
                BmcConfig(
                    node_id=node,
                    tcp_port=0,
                    power_command=power,
                    certificate_path=folder / f"{node}.pem",
                    accounts=GOLDEN,
                    passwords={OPERATOR: PASSWORD, FACTORY: FACTORY_PASSWORD},
                    **config,
                )
            )
        self.simulator = Simulator(
            SimulatorConfig(
                bmcs=tuple(configs),
                folder=folder / "media",
                control_path=folder / "control",
                seconds_to_reboot=0.2,
            )
        )
        self._stack.callback(self.simulator.close)
        door = ControlDoor(folder / "control", self.simulator)
        self._stack.callback(door.server_close)
        self._stack.callback(door.shutdown)
        self.control = Control(folder / "control")
        passwords = folder / "passwords.json"
        passwords.write_text(json.dumps(dict.fromkeys(nodes, PASSWORD)))
        self.reach = BmcReach(
            bmcs={
                one.node_id: BmcAddress(
                    ipv4="127.0.0.1",
                    tcp_port=self.simulator.tcp_port_of(one),
                    fingerprint=addresses[one.node_id],
                )
                for one in configs
            },
            username=OPERATOR,
            passwords_path=passwords,
            connect_s_max=2.0,
            request_s_max=2.0,
            call_s_max=5.0,
        )

    def url(self, node: NodeId) -> str:
        address = self.reach.bmcs[node]
        return f"https://{address.ipv4}:{address.tcp_port}"

    def close(self) -> None:
        self._stack.close()
