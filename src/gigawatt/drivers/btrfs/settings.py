"""Settings of the storage plane over btrfs, as the site file has them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gigawatt.drivers.storage.folders import PlainFolder


class BtrfsPool(BaseModel):
    """One storage pool.

    Fields:
        pool_id: as the fleet calls it.
        folder: the pool folder at the storage server, absolute. ``disk`` in it is a mounted btrfs
            with quotas enabled; ``exports`` is a mount that is shared (``lab.storage`` shows how).
        is_thin: whether quotas may add up to more than the disk has, up to the fleet's capacity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    pool_id: str
    folder: PlainFolder
    is_thin: bool = False


class BtrfsSettings(BaseModel):
    """The pools of one storage server.

    Fields:
        command_prefix: words before every command; empty when the server is this machine.
        is_quoted: whether the prefix gives the words to a shell, as ``ssh`` does.
        command_s_max: seconds that one command may take.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    driver: Literal["btrfs"]
    storage_pools: Annotated[tuple[BtrfsPool, ...], Field(min_length=1)]
    command_prefix: tuple[str, ...] = ()
    is_quoted: bool = False
    command_s_max: Annotated[float, Field(gt=0, le=600)] = 60.0
