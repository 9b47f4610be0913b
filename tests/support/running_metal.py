"""Bare-metal nodes for tests: simulated BMCs over loopback, a media server, and the driver.

The host behind a BMC is a state that is remembered, unless a power command is given.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.metal.opening import open_metal
from gigawatt.drivers.metal.settings import CleaningSettings, MetalSettings
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.redfish.settings import BmcReach
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.model import Fleet
from gigawatt.ids import NodeId
from gigawatt.interfaces.driver import Driver
from gigawatt.interfaces.receipts import CleaningReceipt
from gigawatt.lab.machine.media import media_server
from gigawatt.lab.redfish.certificate import make_certificate
from gigawatt.lab.redfish.config import BmcConfig, SimulatorConfig
from gigawatt.lab.redfish.server import Simulator

OPERATOR, PASSWORD = "gigawatt", "a password of tests 1"
GOLDEN = {OPERATOR: "Administrator"}
FIRMWARE = {"BMC": "1.2.3", "BIOS": "2.4.0"}
NO_HOOKS = CleaningSettings(golden_accounts=GOLDEN, golden_firmware=FIRMWARE, required_hooks=())


def metal_fleet(node_count: int = 4) -> Fleet:
    block = BlockSpec(
        site_id="lab",
        country="US",
        hall_id="hall-1",
        node_type=HGX_H100,
        node_count=node_count,
        node_prefix="h",
        fabric_id="ib0",
    )
    return build_fleet("metal", [block])


@dataclass
class KeptReceipts:
    """``Receipts`` in memory."""

    all: list[CleaningReceipt] = field(default_factory=list)

    def keep(self, receipt: CleaningReceipt) -> None:
        self.all.append(receipt)

    def of_node(self, node_id: NodeId, limit: int = 100) -> list[CleaningReceipt]:
        return [r for r in reversed(self.all) if r.node_id == node_id][:limit]


class NoSecrets:
    """``Secrets`` that nobody asks."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the host plane has no business with secrets: {name}")


@dataclass
class RunningMetal:
    """What runs; ``new_driver`` is another process's driver over the same files."""

    fleet: Fleet
    folder: Path
    simulator: Simulator
    settings: MetalSettings
    receipts: KeptReceipts = field(default_factory=KeptReceipts)
    driver_folder: Path | None = None

    def new_driver(self, **changed: Any) -> Driver:
        settings = self.settings.model_copy(update=changed)
        folder = self.driver_folder or self.folder / "driver"
        opening = Opening(self.fleet, SystemClock(), NoSecrets(), self.receipts, folder)
        return open_metal(settings, opening)

    @property
    def drivers(self) -> dict[Plane, Driver]:
        return {Plane.HOST: self.new_driver()}


@contextmanager
def running_metal(
    folder: Path,
    fleet: Fleet,
    *,
    power_command: Sequence[str] = (),
    cleaning: CleaningSettings = NO_HOOKS,
    nodes: Sequence[int] | None = None,
) -> Iterator[RunningMetal]:
    """BMCs of ``nodes`` (all if None) until the end of the body."""
    node_ids = [
        NodeId(fleet.nodes.ids[n]) for n in (range(len(fleet.nodes)) if nodes is None else nodes)
    ]
    media_folder = folder / "media"
    media_folder.mkdir(parents=True)
    pem, fingerprint = make_certificate("bmc", "127.0.0.1")
    (folder / "bmc.pem").write_bytes(pem)
    configs = [
        BmcConfig(
            node_id=node_id,
            tcp_port=0,
            certificate_path=folder / "bmc.pem",
            accounts=GOLDEN,
            passwords={OPERATOR: PASSWORD},
            firmware_versions=FIRMWARE,
            power_command=tuple(power_command),
        )
        for node_id in node_ids
    ]
    simulator = Simulator(
        SimulatorConfig(
            bmcs=tuple(configs),
            folder=folder / "bmcs",
            control_path=folder / "control",
        )
    )
    media = media_server(media_folder, "127.0.0.1", 0)
    threading.Thread(target=media.serve_forever, daemon=True).start()
    (folder / "passwords.json").write_text(json.dumps(dict.fromkeys(node_ids, PASSWORD)))
    reach = BmcReach.model_validate(
        {
            "bmcs": {
                one.node_id: {
                    "ipv4": "127.0.0.1",
                    "tcp_port": simulator.tcp_port_of(one),
                    "fingerprint": fingerprint,
                }
                for one in configs
            },
            "username": OPERATOR,
            "passwords_path": folder / "passwords.json",
            "call_s_max": 20.0,
        }
    )
    settings = MetalSettings.model_validate(
        {
            "nodes": node_ids,
            "reach": reach,
            "media": {
                "folder": media_folder,
                "url": f"http://127.0.0.1:{media.server_address[1]}",
            },
            "cleaning": cleaning,
            "on_s_max": 20.0,
            "graceful_s_max": 5.0,
            "off_s_max": 2.0,
        }
    )
    try:
        yield RunningMetal(fleet, folder, simulator, settings)
    finally:
        media.shutdown()
        media.server_close()
        simulator.close()
