"""How fast the two engines of the storage plane are, beside the folder on which they lie.

Run as root in a room: ``PYTHONPATH=src python -P -m gigawatt.lab.room python -P bench/storage.py``
(without -P the interpreter takes bench/queue.py for its own). Prints JSON. fio writes and reads
256 MiB in pieces of 1 MiB, then reads and writes 4 KiB at random for five seconds each, through
the page cache and with fsync at the end: on a file on a shared disk, so figures compare engines of
one run and say nothing of a product. Latencies are of one driver call each.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import Entry, Export, FileSystem
from gigawatt.drivers.btrfs.opening import open_btrfs
from gigawatt.drivers.btrfs.settings import BtrfsSettings
from gigawatt.drivers.cephfs.opening import open_cephfs
from gigawatt.drivers.cephfs.reading import entity_of
from gigawatt.drivers.cephfs.settings import CephfsSettings
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.storage.driver import StorageDriver
from gigawatt.drivers.storage.exports import export_path
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import Fence
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.running import Running
from gigawatt.lab.storage.btrfs import BtrfsPart
from gigawatt.lab.storage.cephfs import CephfsPart, ceph, ceph_folder
from gigawatt.lab.storage.pool_folders import pool_folder

MIB = 2**20
CLUSTER = ClusterId("clu_bench")
VNI = 900
JOBS = (
    ("write_1m_mib_per_s", ["--rw=write", "--bs=1M", "--end_fsync=1"], "write", "bw_bytes", MIB),
    ("read_1m_mib_per_s", ["--rw=read", "--bs=1M"], "read", "bw_bytes", MIB),
    ("random_read_4k_per_s", ["--rw=randread", "--bs=4k", "--runtime=5"], "read", "iops", 1),
    ("random_write_4k_per_s", ["--rw=randwrite", "--bs=4k", "--runtime=5"], "write", "iops", 1),
)


class NoSecrets:
    """Keeps nothing: the benchmark reads keys from Ceph."""

    def put(self, secret_ref: str, secret: str) -> None:
        del secret_ref, secret

    def forget(self, secret_ref: str) -> None:
        del secret_ref


def fio(folder: Path) -> dict[str, int]:
    """Figures of fio in a folder."""
    found: dict[str, int] = {}
    words = ["fio", "--name=x", f"--filename={folder}/fio", "--size=256M", "--ioengine=psync"]
    for name, options, side, field, unit in JOBS:
        command = [*words, "--output-format=json", "--time_based=0", *options]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[name] = round(json.loads(said[said.index("{") :])["jobs"][0][side][field] / unit)
    (folder / "fio").unlink()
    return found


def latencies(driver: StorageDriver, pool_id: str, counts: tuple[int, ...]) -> dict[str, float]:
    """Seconds of a call that makes, limits and exports so many file systems, and of its undoing."""
    device, found = DeviceId(f"pool/{pool_id}"), dict[str, float]()
    for count in counts:
        entries: list[Entry] = []
        for number in range(1000, 1000 + count):
            entries += [
                FileSystem(pool_id, number, f"/bench/{number}", MIB),
                Export(pool_id, number, VNI),
            ]
        for name, call in (("ensure", driver.ensure), ("remove", driver.remove)):
            began_s = time.monotonic()
            asyncio.run(call(device, entries, Fence(CLUSTER, 1)))
            found[f"{name}_{count}_s"] = round(time.monotonic() - began_s, 3)
    return found


def started(folder: Path, engine: str) -> tuple[Running, StorageDriver, str, float]:
    """A lab with one part, its driver and pool, and how long it took to start."""
    spec = LabSpec(node_count=2, hypervisor_count=0, storage=engine, storage_bytes=2**31)
    fleet = lab_fleet(spec)
    lab = Running(fleet, Layout(spec, fleet), folder)
    part = BtrfsPart() if engine == "btrfs" else CephfsPart()
    began_s = time.monotonic()
    part.start(lab)
    took_s = round(time.monotonic() - began_s, 2)
    (settings,) = lab.settings["storage"]
    opening = Opening(fleet, SystemClock(), NoSecrets(), None, folder / "driver")
    driver = (
        open_btrfs(BtrfsSettings.model_validate(settings), opening)
        if engine == "btrfs"
        else open_cephfs(CephfsSettings.model_validate(settings), opening)
    )
    return lab, driver, fleet.storage_pools.ids[0], took_s


def given(driver: StorageDriver, pool_id: str) -> None:
    entries = [FileSystem(pool_id, 1, "/bench/1", 1024 * MIB), Export(pool_id, 1, VNI)]
    asyncio.run(driver.ensure(DeviceId(f"pool/{pool_id}"), entries, Fence(CLUSTER, 1)))


def btrfs(folder: Path) -> dict[str, object]:
    lab, driver, pool_id, start_s = started(folder, "btrfs")
    given(driver, pool_id)
    pool = pool_folder(lab, pool_id)
    return {
        "start_s": start_s,
        "subvolume, as the server sees it": fio(pool / "disk/tree/bench/1/files"),
        "export, as a host sees it": fio(export_path(pool, VNI, 1)),
        **latencies(driver, pool_id, (1, 100)),
    }


def cephfs(folder: Path) -> dict[str, object]:
    lab, driver, pool_id, start_s = started(folder, "cephfs")
    given(driver, pool_id)
    entity, target = f"client.{entity_of(pool_id, 1, VNI)}", folder / "mnt"
    target.mkdir()
    keyring = folder / "keyring"
    keyring.touch(0o600)
    keyring.write_text(ceph(lab, "auth", "get", entity))
    root = ceph(lab, "fs", "subvolume", "getpath", "gigawatt", f"{pool_id}-1", pool_id).strip()
    conf = str(ceph_folder(lab) / "ceph.conf")
    words = ["ceph-fuse", "--conf", conf, "--name", entity, "--keyring", str(keyring)]
    lab.run([*words, "--admin-socket=", "--log-file=", "-r", root, str(target)])
    figures = fio(target)
    lab.run(["umount", "-l", str(target)])
    found = {
        "start_s": start_s,
        "mount, as a host sees it": figures,
        **latencies(driver, pool_id, (1, 10)),
    }
    lab.stop()
    return found


def main() -> None:
    engines: dict[str, Callable[[Path], dict[str, object]]] = {"btrfs": btrfs, "cephfs": cephfs}
    with tempfile.TemporaryDirectory(prefix="gw_bench_", ignore_cleanup_errors=True) as name:
        found: dict[str, object] = {"raw folder": fio(Path(name))}
        for engine in sys.argv[1:] or engines:
            folder = Path(name) / engine
            folder.mkdir()
            found[engine] = engines[engine](folder)
            print(json.dumps({engine: found[engine]}), file=sys.stderr, flush=True)
        load = Path("/proc/loadavg").read_text().split()[0]
        print(json.dumps({"load": float(load), **found}, indent=2))
        subprocess.run(
            ["sh", "-c", f"umount -lR {name}/*/storage/*/exports {name}/*/storage/*/disk"],
            check=False,
        )


if __name__ == "__main__":
    main()
