"""The S3 door of a lab's Ceph: its object gateway, and the way to it from the world outside.

The gateway listens on the room's own loopback. Where the lab has a world outside, two relays lead
from one port there to it, so that a cluster reaches it as it reaches any server: if its own rules
let it out.
"""

import sys
from pathlib import Path

from gigawatt.errors import InputError
from gigawatt.lab.layout import OUTSIDE
from gigawatt.lab.running import Running

GATEWAY = "client.rgw"
CAPABILITIES = ("mon", "allow rw", "osd", "allow rwx")
"""Source: Ceph documentation, "Manual Deployment" of a Ceph Object Gateway."""
LOOPBACK, S3_PORT = "127.0.0.1", 7480
"""The port is the gateway's own default."""
START_S_MAX = 120.0
DATA_POOLS = ("default.rgw.buckets.index", "default.rgw.buckets.data")
"""Made before the gateway, which would make its first tenant wait for them."""
PROGRAM = "ceph-rgw"
OPTIONS = {
    "rgw_frontends": f"beast endpoint={LOOPBACK}:{S3_PORT}",
    "rgw_enable_apis": "s3",
    "rgw_gc_obj_min_wait": 1,
    "rgw_gc_processor_period": 60,
    "rgw_gc_processor_max_time": 60,
    "rgw_dynamic_resharding": "false",
}
"""Deleted objects are gone within a minute, and not within Ceph's two hours."""


def start_gateway(lab: Running, conf: Path) -> str:
    """Start the gateway of the Ceph of ``conf``; the URL that tenants are told.

    Raises:
        InputError: it does not come up.
    """
    keyring = conf.parent / f"{GATEWAY}.keyring"
    if not keyring.exists():
        made = ["auth", "get-or-create", GATEWAY, *CAPABILITIES, "-o", str(keyring)]
        lab.run(["timeout", "60", "ceph", "--conf", str(conf), *made])
        for name in DATA_POOLS:
            for words in (["create", name, "8"], ["application", "enable", name, "rgw"]):
                lab.run(["timeout", "60", "ceph", "--conf", str(conf), "osd", "pool", *words])
    (conf.parent / "rgw").mkdir(exist_ok=True)
    program = lab.spawn(PROGRAM, ["radosgw", "--conf", str(conf), "-f", "--name", GATEWAY])
    asked = ["curl", "--silent", "--noproxy", "*", "--max-time", "5", "--output", "/dev/null"]
    url = f"http://{LOOPBACK}:{S3_PORT}"

    def is_up() -> bool:
        return program.poll() is not None or _is_well(lab, [*asked, url])

    lab.until(is_up, "the S3 gateway", START_S_MAX)
    if program.poll() is not None:
        raise InputError(f"radosgw ended at once, look at {lab.log_path(PROGRAM)}")
    if not Path("/run/netns/outside").exists():
        return url
    _lead_in(lab, conf.parent / "run" / "s3.sock")
    return f"http://{OUTSIDE}:{S3_PORT}"


def _lead_in(lab: Running, meeting: Path) -> None:
    words = [sys.executable, "-m", "gigawatt.lab.relay"]
    inner = [*words, f"unix:{meeting}", f"tcp:{LOOPBACK}:{S3_PORT}"]
    outer = [*words, f"tcp:{OUTSIDE}:{S3_PORT}", f"unix:{meeting}"]
    lab.spawn("s3-inside", inner)
    lab.spawn("s3-outside", outer, namespace="outside")
    asked = ["curl", "--silent", "--noproxy", "*", "--max-time", "5", "--output", "/dev/null"]
    url = f"http://{OUTSIDE}:{S3_PORT}"

    def is_up() -> bool:
        return _is_well(lab, [*asked, url], namespace="outside")

    lab.until(is_up, "the way to the S3 gateway", START_S_MAX)


def _is_well(lab: Running, command: list[str], namespace: str | None = None) -> bool:
    try:
        lab.run(command, namespace=namespace)
    except InputError:
        return False
    return True
