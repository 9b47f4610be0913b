"""What has to be known of a UFM and of the subnet behind it."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

LOOPBACK = ("127.0.0.1", "localhost", "::1")

Guid = Annotated[int, Field(gt=0, lt=1 << 64)]


class UfmSubnet(BaseModel):
    """How this machine reads one subnet of the fabric, beside UFM's own word.

    Fields:
        name: what to call it in a message.
        adapter, adapter_port: this machine's way into the subnet, e.g. port 1 of ``mlx5_0``.
        environment: of the process that reads it, beyond this process's own.
        guids: port GUIDs of the fleet's NICs on it; empty: all NICs of the fabric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "subnet0"
    adapter: str
    adapter_port: int = Field(default=1, ge=0, le=254)
    environment: dict[str, str] = {}
    guids: tuple[Guid, ...] = ()


class UfmSettings(BaseModel):
    """One InfiniBand fabric under UFM.

    Fields:
        fabric_id: the fabric in the fleet.
        url: of UFM without a path; ``https``, but for a UFM on this machine's loopback.
        sign_in: by password (``/ufmRest``) or by access token (``/ufmRestV3``).
        username, secret_ref: who signs in, and the name of the password or token.
        ca_path: certificate of who vouches for UFM; None: those that the machine trusts.
        request_s_max, change_s_max: seconds for one request, and for a change to be everywhere.
        is_ip_over_ib: whether partitions carry IP over InfiniBand.
        subnets: where the ports are read that have to confirm what UFM says.
        is_ufm_enough: must be said where no subnet can be read; UFM's record is believed then.
        manager_guids: ports of managers, which are full members of the default partition by right.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    driver: Literal["ufm"] = "ufm"
    fabric_id: str
    url: str
    sign_in: Literal["basic", "token"] = "basic"
    username: str = ""
    secret_ref: str
    ca_path: Path | None = None
    request_s_max: float = Field(default=30.0, gt=0)
    change_s_max: float = Field(default=120.0, gt=0)
    is_ip_over_ib: bool = False
    subnets: tuple[UfmSubnet, ...] = ()
    is_ufm_enough: bool = False
    manager_guids: tuple[Guid, ...] = ()

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        parts = urlsplit(self.url)
        is_near = parts.scheme == "http" and parts.hostname in LOOPBACK
        if not parts.hostname or parts.path.strip("/") or not (parts.scheme == "https" or is_near):
            raise ValueError(f"url is {self.url!r}, wanted https://HOST without a path")
        if parts.username or parts.password:
            raise ValueError("url carries credentials; name them by secret_ref")
        if (self.sign_in == "basic") != bool(self.username):
            raise ValueError("username goes with sign_in 'basic', and only with it")
        if not self.subnets and not self.is_ufm_enough:
            raise ValueError(
                "no subnet is given to confirm what UFM says; give subnets, or is_ufm_enough: true"
            )
        if len({subnet.name for subnet in self.subnets}) != len(self.subnets):
            raise ValueError("two subnets have one name")
        return self
