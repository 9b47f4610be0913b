"""One storage pool on CephFS: a subvolume for each file system, a cephx key for each export.

The quota is kept by the client that mounts (Ceph, "CephFS quotas": cooperative and not to the
byte), so it holds for whoever mounts through a client that is ours, and is a request to whoever
has the bare key. What a key reaches is kept by the servers: its path by the MDS, its objects by
the OSDs. With ``settings.mount_root`` the clients are ours and no host has a key.
"""

import asyncio
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gigawatt.boundary.entries import FileSystem
from gigawatt.drivers.cephfs import reading
from gigawatt.drivers.cephfs.mounting import KEYRING, CephMounts
from gigawatt.drivers.cephfs.objects import ObjectGateway
from gigawatt.drivers.cephfs.reading import Subvolume
from gigawatt.drivers.cephfs.settings import CephfsSettings
from gigawatt.drivers.storage.commands import Commands
from gigawatt.drivers.storage.engine import PoolState, StoredFiles
from gigawatt.drivers.storage.export_tree import ExportTree
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, StoragePoolId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.secrets import Secrets

LOOK_S = 0.5
"""Pause between two looks whether deleted objects are gone. Ours."""

TRY_MOUNT = """
mount -t tmpfs -o mode=0700 gigawatt-probe /mnt && mkdir /mnt/at || exit 1
(umask 077; cat > /mnt/keyring)
timeout 10 "$@" /mnt/at > /dev/null 2>&1 && ls /mnt/at > /dev/null && echo mounted
umount -l /mnt/at 2> /dev/null
true
"""
"""Mount with the keyring of the standard input, which is on no disk; says whether it went."""


@dataclass(frozen=True, slots=True)
class CephfsEngine:
    """``PoolEngine`` over CephFS."""

    pool_id: StoragePoolId
    settings: CephfsSettings
    commands: Commands
    secrets: Secrets
    clock: Clock

    @property
    def mounts(self) -> CephMounts | None:
        """The mounts before the hosts; None where hosts mount by themselves."""
        root = self.settings.mount_root
        return None if root is None else CephMounts(ExportTree(root / self.pool_id, self.commands))

    @property
    def objects(self) -> ObjectGateway | None:
        """Doors for objects; None where there is no gateway."""
        endpoint = self.settings.s3_endpoint
        if endpoint is None:
            return None
        return ObjectGateway(self.pool_id, endpoint, self.settings, self.commands, self.clock)

    async def read(self) -> PoolState:
        """See ``PoolEngine.read``. A mount that is still there counts as an export.

        A key without its mount, where mounts are ours, is mounted again: after a restart of the
        machine that has the mounts that needs nobody's decision.

        Raises:
            DriverRetryableError: Ceph does not answer, or as nobody expects.
            DriverPermanentError: a command failed, or a key may do more than it shall.
        """
        subvolumes, marks = await self._subvolumes()
        files = {
            number: StoredFiles(
                path, owner, subvolumes[name].quota_bytes, subvolumes[name].used_bytes
            )
            for name, (number, owner, path) in marks.items()
        }
        (allowed,) = await self._ask("auth ls")
        exports: set[tuple[int, int]] = set()
        for entity, caps in reading.read_capabilities(allowed).items():
            export = reading.export_of_entity(self.pool_id, entity)
            if export is not None:
                there = subvolumes.get(reading.subvolume_name(self.pool_id, export[0]))
                self._require_narrow(entity, caps, there)
                exports.add(export)
        mounted = await self._mounted(exports, subvolumes)
        for entity in await self._entities_at_work():
            export = reading.export_of_entity(self.pool_id, entity)
            if export is not None:
                exports.add(export)
        return PoolState(files, frozenset(exports | mounted))

    async def make(self, entry: FileSystem, owner: ClusterId) -> None:
        """See ``PoolEngine.make``: made with its quota; nobody has a key to it before its mark.

        Raises:
            DriverError: it did not come about.
        """
        number = entry.filesystem
        name = reading.subvolume_name(self.pool_id, number)
        mark = reading.mark_of(number, owner, entry.path)
        size = f"--size {entry.quota_bytes} --namespace-isolated --mode 777"
        await self._do(f"fs subvolume create {self._fs} {name} {size} {self._group}")
        await self._do(
            f"fs subvolume metadata set {self._fs} {name} {reading.MARK} {mark} {self._group}"
        )

    async def resize(self, filesystem: int, quota_bytes: int) -> None:
        """See ``PoolEngine.resize``; Ceph itself refuses less than is used.

        Raises:
            DriverPermanentError: it holds more.
            DriverRetryableError: Ceph does not answer.
        """
        name = reading.subvolume_name(self.pool_id, filesystem)
        await self._do(
            f"fs subvolume resize {self._fs} {name} {quota_bytes} --no_shrink {self._group}"
        )
        if self.objects is not None:
            await self.objects.resize(filesystem, quota_bytes)

    async def delete(self, filesystem: int) -> None:
        """See ``PoolEngine.delete``; waits until no object of it is left, on either side.

        Raises:
            DriverError: it is not, or not all, gone.
        """
        if self.objects is not None:
            await self.objects.shut(filesystem)
        name = reading.subvolume_name(self.pool_id, filesystem)
        subvolume = (await self._subvolumes())[0].get(name)
        if subvolume is None:
            return
        for snapshot in await self.snapshot_names(filesystem):
            await self._do(f"fs subvolume snapshot rm {self._fs} {name} {snapshot} {self._group}")
        await self._do(f"fs subvolume rm {self._fs} {name} {self._group}")
        until_s = self.clock.now_s() + self.settings.command_s_max
        while await self._has_objects(subvolume):
            if self.clock.now_s() >= until_s:
                raise DriverRetryableError(
                    f"{self.commands.device}: filesystem {filesystem} is deleted, but not all of"
                    f" its objects are, after {self.settings.command_s_max:g} s",
                    device=self.commands.device,
                    next_step="Look at 'ceph -s'; the manager goes on by itself when all is up.",
                )
            await self.clock.sleep(LOOK_S)

    async def let_in(self, filesystem: int, vni: int) -> None:
        """See ``PoolEngine.let_in``: make a key; it is among the secrets when this returns.

        Where mounts are ours it is mounted as well.

        Raises:
            DriverError: there is no key, or no mount.
        """
        entity = reading.entity_of(self.pool_id, filesystem, vni)
        name = reading.subvolume_name(self.pool_id, filesystem)
        await self._do(
            f"fs subvolume authorize {self._fs} {name} {entity} {self._group} --access_level=rw"
        )
        (found,) = await self._ask(f"auth get client.{entity}")
        ref = reading.secret_ref_of(self.pool_id, filesystem, vni)
        self.secrets.put(ref, str(found[0]["key"]))
        await self._mounted({(filesystem, vni)}, (await self._subvolumes())[0])

    async def shut_out(self, filesystem: int, vni: int) -> None:
        """See ``PoolEngine.shut_out``; where mounts are ours they are cut and gone as well.

        Evicting puts the clients on the OSDs' blocklist, so that no write of theirs arrives any
        more. It is done before the key goes, so that a key is left if it fails, and after, for
        who mounted in between.

        Raises:
            DriverError: they may still be in.
        """
        entity = reading.entity_of(self.pool_id, filesystem, vni)
        name = reading.subvolume_name(self.pool_id, filesystem)
        evict = f"fs subvolume evict {self._fs} {name} {entity} {self._group}"
        if name in (await self._subvolumes())[0]:
            await self._do(evict)
            await self._do(f"auth rm client.{entity}")
            await self._do(evict)
        else:
            await self._do(f"auth rm client.{entity}")
        if self.mounts is not None:
            await self.mounts.tree.cut(filesystem, vni)
        if entity in await self._entities_at_work():
            raise DriverRetryableError(
                f"{self.commands.device}: client.{entity} has no key any more, but still a session",
                device=self.commands.device,
                next_step="Evict it: 'ceph tell mds.0 session ls', 'ceph tell mds.0 client evict'.",
            )
        self.secrets.forget(reading.secret_ref_of(self.pool_id, filesystem, vni))

    async def mountable(self, vni: int, filesystems: Collection[int]) -> frozenset[int]:
        """See ``PoolEngine.mountable``: as attached, or with every key that the hosts have.

        Raises:
            DriverRetryableError: it could not be tried.
            DriverPermanentError: a command failed.
        """
        if self.mounts is not None:
            return await self.mounts.tree.readable(vni, filesystems)
        subvolumes, _ = await self._subvolumes()
        (allowed,) = await self._ask("auth ls")
        entities = [
            entity
            for entity in reading.read_capabilities(allowed)
            if (reading.export_of_entity(self.pool_id, entity) or (0, None))[1] == vni
        ]
        found: set[int] = set()
        for number in filesystems:
            there = subvolumes.get(reading.subvolume_name(self.pool_id, number))
            own = reading.entity_of(self.pool_id, number, vni)
            for entity in [own] if own in entities else entities:
                if there is not None and await self._can_mount(entity, there):
                    found.add(number)
        return frozenset(found)

    async def take_snapshot(self, filesystem: int, snapshot: str) -> None:
        """Keep a file system as it is now; hosts see it in ``.snap``.

        Raises:
            DriverError: it did not come about.
        """
        name = reading.subvolume_name(self.pool_id, filesystem)
        await self._do(
            f"fs subvolume snapshot create {self._fs} {name} {shlex.quote(snapshot)} {self._group}"
        )

    async def snapshot_names(self, filesystem: int) -> tuple[str, ...]:
        """Names of the snapshots of a file system.

        Raises:
            DriverError: Ceph does not answer.
        """
        name = reading.subvolume_name(self.pool_id, filesystem)
        (found,) = await self._ask(f"fs subvolume snapshot ls {self._fs} {name} {self._group}")
        return tuple(sorted(str(one["name"]) for one in found))

    def mount_words(self, entity: str, subvolume: Subvolume) -> list[str]:
        """The words, all but the last, that mount a subvolume with ceph-fuse on a host."""
        words = ["ceph-fuse", *self.settings.ceph_options, "--name", f"client.{entity}"]
        words += ["--keyring", KEYRING, "--admin-socket=", "--log-file="]
        return [*words, "-r", subvolume.folder]

    @property
    def _fs(self) -> str:
        return self.settings.filesystem

    @property
    def _group(self) -> str:
        return f"--group_name {self.pool_id}"

    def _ceph(self, *words: str) -> list[str]:
        return ["ceph", *self.settings.ceph_options, "--name", self.settings.admin_name, *words]

    async def _do(self, command: str) -> None:
        await self.commands.run(self._ceph(*shlex.split(command)))

    async def _ask(self, *lines: str) -> Sequence[Any]:
        """Answers to commands, which are asked in one go: Ceph's tool takes long to start."""
        words = self._ceph("--format=json")
        if len(lines) == 1:
            text = await self.commands.run([*words, *shlex.split(lines[0])])
        else:
            text = await self.commands.run(words, stdin="\n".join([*lines, ""])) if lines else ""
        try:
            found = reading.documents(text)
        except ValueError as error:
            raise self._strange(f"the answer to '{lines[0]}' is no JSON") from error
        if len(found) != len(lines):
            raise self._strange(f"{len(lines)} questions have {len(found)} answers")
        return found

    async def _subvolumes(
        self,
    ) -> tuple[dict[str, Subvolume], dict[str, tuple[int, ClusterId, str]]]:
        """All subvolumes of the pool by name, and the marks of those that are finished."""
        (listed,) = await self._ask(f"fs subvolume ls {self._fs} {self.pool_id}")
        names = [str(one["name"]) for one in listed]
        about = [f"{self._fs} {name} {self._group}" for name in names]
        answers = await self._ask(
            *(f"fs subvolume info {one}" for one in about),
            *(f"fs subvolume metadata ls {one}" for one in about),
        )
        try:
            found = [reading.read_subvolume(one) for one in answers[: len(names)]]
        except (KeyError, ValueError, TypeError) as error:
            raise self._strange(f"'fs subvolume info' has no {error}") from error
        subvolumes = {reading.name_in(one): one for one in found}
        if list(subvolumes) != names:
            raise self._strange("'fs subvolume info' is about others")
        marks = {
            name: mark
            for name, metadata in zip(names, answers[len(names) :], strict=True)
            if (mark := reading.read_mark(str(metadata.get(reading.MARK, "")))) is not None
        }
        return subvolumes, marks

    async def _mounted(
        self, wanted: Collection[tuple[int, int]], subvolumes: Mapping[str, Subvolume]
    ) -> frozenset[tuple[int, int]]:
        """Mount those of ``wanted`` that are not; all mounts of the pool. None if hosts mount."""
        if self.mounts is None:
            return frozenset()
        there = await self.mounts.tree.exports()
        for filesystem, vni in sorted(set(wanted) - there.keys()):
            entity = reading.entity_of(self.pool_id, filesystem, vni)
            subvolume = subvolumes[reading.subvolume_name(self.pool_id, filesystem)]
            keyring = await self.commands.run(self._ceph("auth", "get", f"client.{entity}"))
            words = self.mount_words(entity, subvolume)
            await self.mounts.mount(filesystem, vni, words, keyring)
        return frozenset(there) | frozenset(wanted)

    async def _entities_at_work(self) -> frozenset[str]:
        (status,) = await self._ask(f"fs get {self._fs}")
        ranks = status["mdsmap"]["in"]
        asked = (self._ask(f"tell mds.{self._fs}:{rank} session ls") for rank in ranks)
        answers = await asyncio.gather(*asked)
        return reading.entities_at_work(answer for (answer,) in answers)

    async def _has_objects(self, subvolume: Subvolume) -> bool:
        words = ["rados", *self.settings.ceph_options, "--name", self.settings.admin_name]
        words += ["--pool", subvolume.rados_pool, "--namespace", subvolume.rados_namespace, "ls"]
        return bool((await self.commands.run(words)).strip())

    async def _can_mount(self, entity: str, subvolume: Subvolume) -> bool:
        keyring = await self.commands.run(self._ceph("auth", "get", f"client.{entity}"))
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", TRY_MOUNT, "sh"]
        words += self.mount_words(entity, subvolume)
        said = await self.commands.say(words, stdin=keyring)
        if said.status:
            raise DriverRetryableError(
                f"{self.commands.device}: no mount could be tried: {said.stderr.strip()}",
                device=self.commands.device,
            )
        return "mounted" in said.stdout.split()

    def _require_narrow(
        self, entity: str, caps: Mapping[str, str], subvolume: Subvolume | None
    ) -> None:
        """Refuse to call a key that opens more than its file system an export.

        Raises:
            DriverPermanentError: it does.
        """
        wanted = None if subvolume is None else reading.capabilities_for(subvolume)
        if wanted is None or dict(caps) != wanted:
            raise DriverPermanentError(
                f"{self.commands.device}: client.{entity} may {dict(caps)}, wanted {wanted}",
                device=self.commands.device,
                next_step=f"Run 'ceph auth rm client.{entity}', evict its sessions, and find out"
                " who changed it; 'gw reconcile' makes it anew.",
            )

    def _strange(self, what: str) -> DriverRetryableError:
        return DriverRetryableError(
            f"{self.commands.device}: Ceph says what nobody expects: {what}",
            device=self.commands.device,
            next_step="Look at 'ceph -s', and whether this Ceph is a release that was tried.",
        )
