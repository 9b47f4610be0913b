"""How a driver over CephFS is made from its settings."""

from gigawatt.drivers.cephfs.engine import CephfsEngine
from gigawatt.drivers.cephfs.settings import CephfsSettings
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.storage.commands import Commands
from gigawatt.drivers.storage.driver import StorageDriver, open_storage
from gigawatt.ids import DeviceId, StoragePoolId


def open_cephfs(settings: CephfsSettings, opening: Opening) -> StorageDriver:
    """The driver of the pools of one Ceph cluster.

    Raises:
        InputError: the fleet has no such pool.
    """
    engines = {
        StoragePoolId(pool_id): CephfsEngine(
            StoragePoolId(pool_id),
            settings,
            Commands(
                DeviceId(f"pool/{pool_id}"),
                settings.command_prefix,
                settings.is_quoted,
                settings.command_s_max,
            ),
            opening.secrets,
            opening.clock,
        )
        for pool_id in settings.pool_ids
    }
    return open_storage(engines, opening)
