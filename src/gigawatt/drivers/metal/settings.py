"""Settings of the bare-metal driver, as a site file has them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gigawatt.drivers.cleaning import HookSettings
from gigawatt.drivers.redfish.settings import BmcReach
from gigawatt.ids import NodeId

HookName = Literal[
    "prove_off", "sanitise_disk", "sample_disk", "reset_gpus", "reset_nvlink", "burn_in"
]


class MediaSettings(BaseModel):
    """Where BMCs fetch virtual media.

    Fields: folder is served as it is, without a listing, at ``url`` (``http://host:port``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    folder: Path
    url: Annotated[str, Field(pattern=r"^https?://[^/]+$")]


class CleaningSettings(BaseModel):
    """What a node must be like between two tenants.

    Fields:
        golden_accounts: role by name of the accounts that belong on every BMC.
        golden_firmware: version by Redfish id; what is not named is not looked at.
        hooks: commands of the site; see ``HookSettings``. ``prove_off`` proves by another way than
            the BMC that the node is off, ``sample_disk`` fails if anything is left on the disk.
        required_hooks: hooks without which no node counts as clean.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    golden_accounts: dict[str, str]
    golden_firmware: dict[str, str] = {}
    hooks: dict[HookName, HookSettings] = {}
    required_hooks: tuple[HookName, ...] = ("sanitise_disk", "sample_disk")


class MetalSettings(BaseModel):
    """Settings of the driver.

    Fields:
        nodes: the nodes that it serves; the others of ``reach`` belong to somebody else.
        on_s_max: from power on until the operating system runs.
        graceful_s_max: how long an operating system may take to stop by itself.
        off_s_max: from forced power off until the BMC says off.
        waits_for_system: wait until the BMC says that the operating system runs, which not every
            BMC can; without it the seed stays in the drive for ``on_s_max``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    driver: Literal["metal"] = "metal"
    nodes: tuple[NodeId, ...]
    reach: BmcReach
    media: MediaSettings
    cleaning: CleaningSettings
    on_s_max: float = Field(600.0, gt=0)
    graceful_s_max: float = Field(60.0, gt=0)
    off_s_max: float = Field(30.0, gt=0)
    waits_for_system: bool = True
