"""A whole Ceph in a lab: monitor, manager, one OSD on a file, metadata server."""

import json
from collections.abc import Mapping
from pathlib import Path

from gigawatt.errors import InputError
from gigawatt.lab.running import Running
from gigawatt.lab.storage.pool_folders import pool_folder, share_exports, storage_folder
from gigawatt.lab.storage.s3_gateway import OPTIONS, start_gateway
from gigawatt.lab.storage.s3_gateway import PROGRAM as GATEWAY_PROGRAM

FILESYSTEM = "gigawatt"
DATA_POOL, METADATA_POOL = "data", "meta"
"""RADOS pools of the file system."""
LOOPBACK = "127.0.0.1"
"""The room's own: no daemon listens where a host, a BMC or a switch of the lab could ask it."""
MONITOR = f"[v2:{LOOPBACK}:3300,v1:{LOOPBACK}:6789]"
"""The ports are Ceph's."""
AHEAD_OBJECTS = 1
"""How far, in objects of 4 MiB, a client may write ahead of what the metadata server counts.

As Ceph has it, 1,024 and counted once a second, 100 MiB went through a quota of 50. MEASURED
"""
START_S_MAX = 120.0
OWN_BYTES = 2**30
"""What an OSD keeps for itself: that, and a tenth. Ours."""
DAEMONS: Mapping[str, tuple[str, str]] = {
    "mon": ("ceph-mon", "a"),
    "mgr": ("ceph-mgr", "a"),
    "osd": ("ceph-osd", "0"),
    "mds": ("ceph-mds", "a"),
}
PACKAGE_OF_TOOL: Mapping[str, str] = {
    "ceph": "ceph-common",
    "ceph-mon": "ceph-mon",
    "ceph-mgr": "ceph-mgr",
    "ceph-osd": "ceph-osd",
    "ceph-mds": "ceph-mds",
    "ceph-fuse": "ceph-fuse",
}
PACKAGE_OF_S3_TOOL: Mapping[str, str] = {
    "radosgw": "radosgw",
    "radosgw-admin": "radosgw",
    "curl": "curl",
}
CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *", "mds", "allow *", "mgr", "allow *"),
    "mgr.a": ("mon", "allow profile mgr", "osd", "allow *", "mds", "allow *"),
    "osd.0": ("mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *"),
    "mds.a": (
        *("mon", "allow profile mds", "mgr", "allow profile mds"),
        *("osd", "allow rwx", "mds", "allow *"),
    ),
}
"""Of each daemon. Source: Ceph documentation, "Manual Deployment"."""


class CephfsPart:
    """The storage plane of a lab on CephFS. What is in it outlives the lab, in its folder."""

    def __init__(self, *, has_s3: bool = False) -> None:
        """``has_s3``: file systems can have doors for objects, too."""
        self._has_s3 = has_s3

    @property
    def name(self) -> str:
        """What people call it."""
        return "storage (CephFS)"

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """Debian package of each program that it needs."""
        return {**PACKAGE_OF_TOOL, **(PACKAGE_OF_S3_TOOL if self._has_s3 else {})}

    def start(self, lab: Running) -> None:
        """Bring Ceph up, with a subvolume group for every pool, and declare the driver.

        Raises:
            InputError: it does not come up.
        """
        folder = ceph_folder(lab)
        is_new = not (folder / "done").exists()
        if is_new:
            _lay_out(lab, folder, copy_count=2 if self._has_s3 else 1)
        _start(lab, "mon", folder)
        _start(lab, "mgr", folder)
        if is_new:
            _make_osd(lab, folder)
        _start(lab, "osd", folder)
        _start(lab, "mds", folder)
        if is_new:
            for kind in (METADATA_POOL, DATA_POOL):
                ceph(lab, "osd", "pool", "create", kind, "8")
            ceph(lab, "fs", "new", FILESYSTEM, METADATA_POOL, DATA_POOL)
        lab.until(lambda: ":active" in ceph(lab, "mds", "stat"), "an active MDS", START_S_MAX)
        _await_volumes(lab)
        pool_ids = list(lab.fleet.storage_pools.ids)
        for pool_id in pool_ids:
            ceph(lab, "fs", "subvolumegroup", "create", FILESYSTEM, pool_id)
            share_exports(lab, pool_folder(lab, pool_id))
        (folder / "done").touch()
        conf = conf_path(lab.folder)
        settings = {
            "pool_ids": pool_ids,
            "filesystem": FILESYSTEM,
            "ceph_options": ["--conf", str(conf)],
            "mount_root": str(storage_folder(lab)),
        }
        s3 = {"s3_endpoint": start_gateway(lab, conf)} if self._has_s3 else {}
        lab.declare("storage", "cephfs", {**settings, **s3})

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now."""
        for kind, (program, _) in DAEMONS.items():
            process = lab.programs.get(f"ceph-{kind}")
            if process is None or process.poll() is not None:
                return f"{program} ended, look at {lab.log_path(f'ceph-{kind}')}"
        if self._has_s3 and lab.programs[GATEWAY_PROGRAM].poll() is not None:
            return f"radosgw ended, look at {lab.log_path(GATEWAY_PROGRAM)}"
        try:
            stat = ceph(lab, "mds", "stat", "--connect-timeout=5")
        except InputError as error:
            return str(error)
        return "" if ":active" in stat else f"no MDS is active: {stat.strip()}"


def ceph_folder(lab: Running) -> Path:
    """Where Ceph has its configuration, keys and data in a lab."""
    return storage_folder(lab) / "ceph"


def conf_path(folder: Path) -> Path:
    """Ceph's configuration in the lab of a folder."""
    return folder / "storage" / "ceph" / "ceph.conf"


def ceph(lab: Running, *words: str) -> str:
    """What Ceph's command line answers to its administrator.

    Raises:
        InputError: it failed.
    """
    return lab.run(["timeout", "60", "ceph", "--conf", str(conf_path(lab.folder)), *words])


def _lay_out(lab: Running, folder: Path, *, copy_count: int) -> None:
    """Configuration, keys and the monitor's data; room for ``copy_count`` times the capacity."""
    for kind in (*DAEMONS, "run"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    fsid = _fresh_uuid()
    capacity_bytes = copy_count * int(lab.fleet.storage_pools.capacity_bytes.sum())
    disk_bytes = capacity_bytes + capacity_bytes // 10 + OWN_BYTES
    (folder / "ceph.conf").write_text(conf_text(folder, fsid, disk_bytes), encoding="utf-8")
    conf = ["--conf", str(folder / "ceph.conf")]
    everybody = folder / "mon.keyring"
    for entity, caps in CAPABILITIES.items():
        path = folder / f"{entity.rstrip('.')}.keyring"
        words = [w for i in range(0, len(caps), 2) for w in ("--cap", *caps[i : i + 2])]
        lab.run(["ceph-authtool", "-C", str(path), "--gen-key", "-n", entity, *words])
        if path != everybody:
            lab.run(["ceph-authtool", str(everybody), "--import-keyring", str(path)])
    monmap = str(folder / "monmap")
    lab.run(["monmaptool", "--create", "--clobber", "--addv", "a", MONITOR, "--fsid", fsid, monmap])
    made = ["ceph-mon", *conf, "--mkfs", "-i", "a", "--monmap", monmap]
    lab.run([*made, "--keyring", str(everybody)])


def conf_text(folder: Path, fsid: str, disk_bytes: int) -> str:
    """``ceph.conf`` of a Ceph with one OSD on a file, all in one folder."""
    options = {
        "fsid": fsid,
        "mon_host": MONITOR,
        "public_addr": LOOPBACK,
        "cluster_addr": LOOPBACK,
        "keyring": f"{folder}/$name.keyring",
        "run_dir": f"{folder}/run",
        "admin_socket": f"{folder}/run/$name.$pid.asok",
        "log_to_stderr": "true",
        "log_file": "",
        "pid_file": "",
        "osd_objectstore": "bluestore",
        "bluestore_block_size": disk_bytes,
        "mds_dirstat_min_interval": 0,
        "mds_client_writeable_range_max_inc_objs": AHEAD_OBJECTS,
        "osd_memory_target": 939_524_096,
        "osd_pool_default_size": 1,
        "osd_pool_default_min_size": 1,
        "osd_crush_chooseleaf_type": 0,
        "mon_allow_pool_size_one": "true",
        "mon_warn_on_pool_no_redundancy": "false",
        "mon_data_avail_warn": 1,
        "mon_data_avail_crit": 1,
        "auth_allow_insecure_global_id_reclaim": "false",
        **{f"{kind}_data": f"{folder}/{kind}" for kind in (*DAEMONS, "rgw")},
        **OPTIONS,
    }
    return "[global]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())


def _start(lab: Running, kind: str, folder: Path) -> None:
    program, name = DAEMONS[kind]
    # In the foreground: a manager that closed its standard error cannot authorize (Ceph 16).
    lab.spawn(f"ceph-{kind}", [program, "--conf", str(folder / "ceph.conf"), "-f", "-i", name])


def _fresh_uuid() -> str:
    return Path("/proc/sys/kernel/random/uuid").read_text(encoding="ascii").strip()


def _make_osd(lab: Running, folder: Path) -> None:
    keyring = str(folder / "osd.0.keyring")
    key = lab.run(["ceph-authtool", keyring, "-n", "osd.0", "--print-key"]).strip()
    osd_id = _fresh_uuid()
    conf = ["--conf", str(folder / "ceph.conf")]
    secret = json.dumps({"cephx_secret": key})
    lab.run(["timeout", "60", "ceph", *conf, "osd", "new", osd_id, "-i", "-"], stdin=secret)
    lab.run(["ceph-osd", *conf, "-i", "0", "--mkfs", "--osd-uuid", osd_id])


def _await_volumes(lab: Running) -> None:
    """Wait for the manager's module that makes subvolumes."""

    def is_there() -> bool:
        try:
            return FILESYSTEM in ceph(lab, "fs", "volume", "ls")
        except InputError:
            return False

    lab.until(is_there, "the manager's volumes module", START_S_MAX)
