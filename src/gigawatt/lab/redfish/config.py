"""What the simulator is started with: one JSON file."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gigawatt.ids import NodeId


class BmcConfig(BaseModel):
    """One simulated BMC.

    Fields:
        namespace: path of the network namespace that it listens in; None for the process's own.
        ipv4, tcp_port: where it listens; port 0 takes any free one.
        certificate_path: PEM of certificate and private key.
        accounts: role by name of the accounts that it leaves the factory with.
        passwords: their passwords, by name.
        slot_count: accounts that it can have; real BMCs have 10 to 16.
        account_style: ``post`` makes accounts by POST, ``slots`` by PATCH of an empty one.
        takes_roles: whether roles can be made.
        firmware_versions: version by id of firmware.
        power_command: see the package.
        machine_namespace: path of the network namespace of a machine of the lab; whether it is on
            is then read from the kernel, without the power command, which takes a tenth of a
            second of processor for each of many looks. None: the command is asked.
        power_w_on, power_w_off: what its sensors say of the host. Illustrative.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    node_id: NodeId
    namespace: str | None = None
    ipv4: str = "127.0.0.1"
    tcp_port: int = Field(default=443, ge=0, le=65_535)
    certificate_path: Path
    accounts: dict[str, str]
    passwords: dict[str, str]
    slot_count: int = Field(default=16, ge=2, le=256)
    account_style: Literal["post", "slots"] = "post"
    takes_roles: bool = True
    firmware_versions: dict[str, str] = {"BMC": "1.2.3", "BIOS": "2.4.0"}
    power_command: tuple[str, ...] = ()
    machine_namespace: Path | None = None
    power_w_on: int = Field(default=6_000, ge=0)
    power_w_off: int = Field(default=120, ge=0)


class SimulatorConfig(BaseModel):
    """All simulated BMCs of one process.

    Fields:
        folder: for what virtual media hold; nobody else's.
        control_path: unix socket by which faults are set.
        seconds_to_reboot: how long a BMC is away when it restarts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    bmcs: tuple[BmcConfig, ...]
    folder: Path
    control_path: Path
    seconds_to_reboot: float = Field(default=2.0, ge=0)
