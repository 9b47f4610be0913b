"""How a driver over btrfs is made from its settings."""

from gigawatt.drivers.btrfs.engine import BtrfsEngine
from gigawatt.drivers.btrfs.settings import BtrfsSettings
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.storage.commands import Commands
from gigawatt.drivers.storage.driver import StorageDriver, open_storage
from gigawatt.ids import DeviceId, StoragePoolId


def open_btrfs(settings: BtrfsSettings, opening: Opening) -> StorageDriver:
    """The driver of the pools of one btrfs server.

    Raises:
        InputError: the fleet has no such pool.
    """
    engines = {
        StoragePoolId(one.pool_id): BtrfsEngine(
            StoragePoolId(one.pool_id),
            one.folder,
            Commands(
                DeviceId(f"pool/{one.pool_id}"),
                settings.command_prefix,
                settings.is_quoted,
                settings.command_s_max,
            ),
            is_thin=one.is_thin,
        )
        for one in settings.storage_pools
    }
    return open_storage(engines, opening)
