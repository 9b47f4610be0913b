"""Doors for objects: one user of the Ceph Object Gateway for each file system that has a door.

Each user is in a tenant of its own, so that names of buckets meet nobody else's. Quotas are kept
by the gateway, which remembers for minutes what a user of a name has, even one that is gone: so a
door that is opened anew has a user of another name. Keys are made by the gateway and are on no
command line.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gigawatt.drivers.cephfs.settings import CephfsSettings
from gigawatt.drivers.storage.commands import Commands
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import StoragePoolId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.object_doors import ObjectDoor, ObjectKey

BUCKETS_MAX = 100
"""Buckets that a door may have. Ours; Ceph's own is 1,000."""


def tenant_of(pool_id: StoragePoolId, filesystem: int) -> str:
    """Ceph's tenant of a door: letters, digits and underscores, another for each file system."""
    return f"gw{filesystem}_{pool_id.encode().hex()}"


@dataclass(frozen=True, slots=True)
class ObjectGateway:
    """The doors of one pool. Fields: endpoint is what tenants are told."""

    pool_id: StoragePoolId
    endpoint: str
    settings: CephfsSettings
    commands: Commands
    clock: Clock

    async def door(self, filesystem: int) -> ObjectDoor:
        """The door of a file system, shut if nobody opened it.

        Raises:
            DriverError: the gateway's tool does not answer.
        """
        users = await self._users(filesystem)
        if not users:
            return ObjectDoor(self.endpoint)
        found = await self._ask(users[-1], "user", "info")
        keys = _keys(found)
        stats: Mapping[str, Any] = {}
        with suppress(DriverPermanentError):
            # A user that never had a bucket has no statistics.
            stats = await self._ask(users[-1], "user", "stats", "--sync-stats")
        return ObjectDoor(
            self.endpoint,
            keys[-1] if keys else None,
            max(0, int(found["user_quota"]["max_size"])),
            int(stats.get("stats", {}).get("size", 0)),
        )

    async def new_key(self, filesystem: int, quota_bytes: int) -> ObjectKey:
        """Another key, the only one then; a user is made first if there is none.

        Raises:
            DriverError: there may be a new key that nobody knows; asking again makes another.
        """
        users = await self._users(filesystem)
        if not users:
            users = [f"{tenant_of(self.pool_id, filesystem)}${int(self.clock.now_s() * 1000)}"]
            about = ("--display-name", f"gigawatt {self.pool_id} {filesystem}")
            await self._ask(users[-1], "user", "create", *about, f"--max-buckets={BUCKETS_MAX}")
        user = users[-1]
        await self._limit(user, quota_bytes)
        former = _keys(await self._ask(user, "user", "info"))
        made = ("key", "create", "--key-type=s3", "--gen-access-key", "--gen-secret")
        keys = {
            str(one["access_key"]): str(one["secret_key"])
            for one in (await self._ask(user, *made))["keys"]
        }
        for key in former:
            await self._ask(user, "key", "rm", "--key-type=s3", "--access-key", key)
            keys.pop(key, None)
        if len(keys) != 1:
            raise DriverRetryableError(
                f"{self.commands.device}: a new key for the objects of filesystem {filesystem}"
                f" made {len(keys)}",
                device=self.commands.device,
            )
        ((access_key, secret_key),) = keys.items()
        return ObjectKey(self.endpoint, access_key, secret_key)

    async def resize(self, filesystem: int, quota_bytes: int) -> None:
        """Give the door another quota, in force; nothing to do if it is shut.

        Raises:
            DriverError: it may have the former one.
        """
        for user in await self._users(filesystem):
            await self._limit(user, quota_bytes)

    async def shut(self, filesystem: int) -> None:
        """No user, key, bucket or object any more; nothing to do if there are none.

        Raises:
            DriverError: not all is gone.
        """
        users = await self._users(filesystem)
        for user in users:
            await self.commands.run(self._of(user, "user", "suspend"))
            await self.commands.run(self._of(user, "user", "rm", "--purge-keys", "--purge-data"))
        if users:
            await self.commands.run(self._words("gc", "process", "--include-all"))

    async def _users(self, filesystem: int) -> list[str]:
        """Full names of the users of a door, the newest last; usually one, or none."""
        tenant = f"{tenant_of(self.pool_id, filesystem)}$"
        text = await self.commands.run(self._words("user", "list"))
        return sorted(str(name) for name in self._read(text) if str(name).startswith(tenant))

    async def _limit(self, user: str, quota_bytes: int) -> None:
        scope = "--quota-scope=user"
        size = f"--max-size={quota_bytes}"
        await self.commands.run(self._of(user, "quota", "set", scope, size))
        await self.commands.run(self._of(user, "quota", "enable", scope))

    async def _ask(self, user: str, *words: str) -> Mapping[str, Any]:
        found = self._read(await self.commands.run(self._of(user, *words)))
        return found if isinstance(found, Mapping) else {}

    def _of(self, user: str, *words: str) -> list[str]:
        return self._words(*words, "--uid", user)

    def _words(self, *words: str) -> list[str]:
        options = [*self.settings.ceph_options, "--name", self.settings.admin_name]
        return ["radosgw-admin", *options, *words]

    def _read(self, text: str) -> Any:  # noqa: ANN401 - whatever the tool says
        try:
            return json.loads(text)
        except ValueError as error:
            raise DriverRetryableError(
                f"{self.commands.device}: 'radosgw-admin' printed no JSON: {text[:200]!r}",
                device=self.commands.device,
            ) from error


def _keys(user: Mapping[str, Any]) -> Sequence[str]:
    return [str(one["access_key"]) for one in user.get("keys", ())]
