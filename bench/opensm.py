"""How long a change of partitions takes on a real OpenSM, beside OpenSM's own time for it.

Run with ``PYTHONPATH=src python -P bench/opensm.py [--endports 128 512]``; without -P the
interpreter takes bench/queue.py for its own. ibsim stands in for the fabric; the fleet's rails are
separate subnets, each under an OpenSM of its own, so all managers and simulators share this
machine's processors. Floor is SIGHUP until every manager has logged that its sweep is done, of a
file that is there already. The driver's time has on top of it the lock, the check, the disk
(``fsync``) and the reading of every table that changed. It tells only the managers that it has to,
and ends when tables are right and read, which may be before managers have ended their sweep; before
anything is timed, all have. Medians of some rounds; see the load beside them.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import PartitionMember
from gigawatt.drivers.opensm import rules
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.drivers.opensm.driver import OpensmDriver, Patience
from gigawatt.drivers.opensm.subnet import hang_up
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import ClusterId, FabricId
from gigawatt.interfaces.driver import Fence
from gigawatt.lab import fabric
from gigawatt.lab.fabric import FabricLab, LabSubnet, fabric_lab, reader_guids

FABRIC = FabricId("ib0")
CLUSTER = ClusterId("clu_bench")
FENCE = Fence(CLUSTER, 1)
PATIENCE = Patience(change_s=600.0)


def timed(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


class Logs:
    """What managers have logged since this was made."""

    def __init__(self, subnets: Sequence[LabSubnet]) -> None:
        self._logs = [(subnet.folder / "opensm0.log").open() for subnet in subnets]
        for log in self._logs:
            log.seek(0, os.SEEK_END)

    def await_up(self) -> None:
        """Wait until each has ended a sweep."""
        for log in self._logs:
            while "SUBNET UP" not in log.read():
                time.sleep(0.001)
            log.close()


def sweep(lab: FabricLab) -> None:
    """Every manager reads the file and sweeps to the end."""
    logs = Logs(lab.subnets)
    for subnet in lab.subnets:
        hang_up(subnet.subnet)
    logs.await_up()


def called_s(lab: FabricLab, runner: asyncio.Runner, call: Coroutine, guids: set[int]) -> float:
    """How long a call of the driver takes; waits for the end of the sweeps that it asked for."""
    logs = Logs([subnet for subnet in lab.subnets if subnet.subnet.guids & guids])
    took_s = timed(lambda: runner.run(call))
    logs.await_up()
    return took_s


def floor_s(lab: FabricLab, file: ConfFile, entries: list[PartitionMember]) -> float:
    """SIGHUP to the last sweep done for the entries' coming; they are gone again afterwards."""
    before = file.read()
    file.write(rules.ensured(before, tuple(entries), FENCE))
    took_s = timed(lambda: sweep(lab))
    file.write(before)
    sweep(lab)
    return took_s


def measure(endport_count: int, round_count: int) -> None:
    fleet = hgx_fleet(endport_count)
    guids = fleet.nics.guid.tolist()
    with tempfile.TemporaryDirectory(prefix="gigawatt-bench-") as name:
        folder = Path(name)
        file = ConfFile(folder / "partitions.conf", FABRIC)
        file.lay_down(reader_guids(fleet, 0))
        began_s = time.perf_counter()
        with fabric_lab(fleet, 0, folder) as lab, asyncio.Runner() as runner:
            up_s = time.perf_counter() - began_s
            driver = OpensmDriver(fleet, [lab.fabric], SystemClock(), PATIENCE)
            device = lab.fabric.device
            assert device in runner.run(driver.observe([device])).entries
            observe_s = timed(lambda: runner.run(driver.observe([device])))
            print(
                f"{endport_count} endports, {len(lab.subnets)} subnets: up in {up_s:.1f} s,"
                f" observed in {observe_s:.2f} s"
            )
            for count in (16, endport_count // 2):
                entries = [PartitionMember(FABRIC, 0x10, guid, "full") for guid in guids[:count]]
                floors, comes, goes = [], [], []
                for _ in range(round_count):
                    floors.append(floor_s(lab, file, entries))
                    call = driver.ensure(device, entries, FENCE)
                    comes.append(called_s(lab, runner, call, set(guids[:count])))
                    call = driver.remove(device, entries, FENCE)
                    goes.append(called_s(lab, runner, call, set(guids[:count])))
                floor, come, go = map(statistics.median, (floors, comes, goes))
                print(
                    f"| {endport_count} | {count} | {floor:.3f} | {come:.3f} | {go:.3f} |"
                    f" {come / floor:.1f} |"
                )
            driver.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endports", type=int, nargs="+", default=[128, 512, 2000])
    parser.add_argument("--rounds", type=int, default=5)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print("| endports | ports changed | floor s | ensure s | remove s | ensure / floor |")
    args = parser.parse_args()
    # 10,000 ports come up in half a minute, on a busy machine in two.
    fabric.START_S_MAX = 300.0
    for count in args.endports:
        measure(count, args.rounds)
        print(f"load average {os.getloadavg()[0]:.1f} afterwards", flush=True)


if __name__ == "__main__":
    main()
