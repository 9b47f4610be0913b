"""How a site names its InfiniBand fabrics under OpenSM."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Guid = Annotated[str, Field(pattern=r"^0x[0-9a-f]{16}$")]


class SubnetSettings(BaseModel):
    """One subnet and its managers; see ``subnet.Subnet``.

    Fields:
        leaves: ids of the leaf switches of this subnet; all of the fabric if left out.
        options_files: ``opensm.conf`` of each manager, for 'gw fleet lint-fabric' to judge.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "subnet0"
    pid_files: tuple[Path, ...] = Field(min_length=1)
    adapter: str = Field(min_length=1)
    adapter_port: int = Field(default=1, ge=0, le=254)
    leaves: tuple[str, ...] | None = None
    environment: dict[str, str] = {}
    options_files: tuple[Path, ...] = ()


class FabricSettings(BaseModel):
    """One fabric of the fleet; see ``subnet.ManagedFabric``.

    Fields:
        manager_guids: port GUIDs of the managers' own machines, as ``0x0002c90300fffe01``.
        build: whose OpenSM it is; NVIDIA's reads options that others ignore.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fabric: str
    partitions_conf: Path
    subnets: tuple[SubnetSettings, ...] = Field(min_length=1)
    manager_guids: tuple[Guid, ...] = ()
    build: Literal["upstream", "nvidia"] = "upstream"

    @field_validator("subnets")
    @classmethod
    def _named_once(cls, subnets: tuple[SubnetSettings, ...]) -> tuple[SubnetSettings, ...]:
        if len({subnet.name for subnet in subnets}) < len(subnets):
            raise ValueError("two subnets have one name")
        if len(subnets) > 1 and any(subnet.leaves is None for subnet in subnets):
            raise ValueError("each of several subnets has to name its leaves")
        return subnets


class OpensmSettings(BaseModel):
    """The driver's part of the site file.

    Fields:
        change_s: how long a change may take until every port shows it.
        turn_s: how long to wait for others who change the same fabric.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: Literal["opensm"] = "opensm"
    fabrics: tuple[FabricSettings, ...] = Field(min_length=1)
    change_s: float = Field(default=120.0, gt=0)
    turn_s: float = Field(default=300.0, gt=0)
