"""One switch: what it holds, read in one go, and changes to it, one at a time."""

import asyncio
import json
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from gigawatt.drivers.evpn.nft_json import Table, read_tables
from gigawatt.drivers.evpn.reach import SAID_MAX, Reach
from gigawatt.drivers.evpn.segments import Links, Wiring, read_links
from gigawatt.drivers.evpn.settings import EvpnSettings
from gigawatt.drivers.ledger import Ledger
from gigawatt.errors import DriverRetryableError
from gigawatt.ids import DeviceId

LOOK_S = 0.05
"""Pause between two looks whether FRR has taken notice. Ours."""
INTERRUPTED, READS_MAX = "Dump was interrupted", 8
"""What iproute2 says when interfaces came or went while it listed them (NLM_F_DUMP_INTR), and how
often a list is asked for. The number is ours."""
READS = {
    "links": "ip -j -d link show",
    "nft": "nft -j list ruleset",
    "fdb": "bridge -j fdb show",
}
FRR_READS = (
    "show evpn vni json",
    "show bgp l2vpn evpn vni json",
    "show bgp l2vpn evpn summary json",
)


@dataclass(frozen=True)
class SwitchState:
    """What a switch said of itself.

    Fields: announced are the networks of which its FRR tells others; None without FRR. extra has
    what else was asked for.
    """

    links: Links
    tables: Mapping[tuple[str, str], Table]
    announced: frozenset[int] | None
    extra: Mapping[str, str]


class Switch:
    """One switch of the network."""

    def __init__(self, name: str, settings: EvpnSettings, turns: Ledger) -> None:
        """Take its settings by name; ``turns`` keeps processes from changing it at once."""
        own = settings.switches[name]
        others = tuple(
            sorted(other.vtep for other in settings.switches.values() if other.vtep != own.vtep)
        )
        is_static = settings.mode == "static"
        self.name = name
        self.wiring = Wiring(own.vtep, others, is_static)
        self._reach = Reach(name, own.reach, settings.wait_s_max)
        self._vtysh = () if is_static else own.vtysh
        self._wait_s_max = settings.wait_s_max
        self._turns = turns

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Have the switch to oneself among all processes."""
        return self._turns.turn(DeviceId(f"switch/{self.name}"))

    async def look(self, device: DeviceId, extra: Mapping[str, str] | None = None) -> SwitchState:
        """What it holds now; ``extra`` has further commands.

        Raises:
            DriverRetryableError: it, or its FRR, does not answer, or not in its own words.
        """
        frr = " ".join(f"-c '{command}'" for command in FRR_READS)
        commands = {**READS, **(extra or {})}
        if self._vtysh:
            commands["frr"] = f"{' '.join(self._vtysh)} {frr}"
        said = await self._read(commands, device)
        try:
            links = read_links(said["links"], said["fdb"])
            tables = read_tables(said["nft"])
        except (ValueError, KeyError) as error:
            raise DriverRetryableError(
                f"{device}: switch {self.name} did not list its interfaces and rules: {error}"
                f" in {said.get('links', '')[:SAID_MAX]!r}",
                device=device,
                next_step="See whether iproute2 and nftables are installed there.",
            ) from error
        announced = self._announced(device, said["frr"]) if self._vtysh else None
        return SwitchState(links, tables, announced, said)

    async def flood(self, device: DeviceId) -> Mapping[str, frozenset[str]]:
        """Addresses of switches to which each VXLAN interface sends what is for all.

        Raises:
            DriverRetryableError: it does not answer, or not in its own words.
        """
        said = await self._read({"fdb": READS["fdb"]}, device)
        try:
            return read_links("[]", said["fdb"]).flood
        except (ValueError, KeyError) as error:
            raise DriverRetryableError(
                f"{device}: switch {self.name} did not list its forwarding rows: {error}",
                device=device,
                next_step="See whether iproute2 is installed there.",
            ) from error

    async def _read(self, commands: Mapping[str, str], device: DeviceId) -> dict[str, str]:
        """What commands print, anew while the kernel says that it changed in the middle.

        Raises:
            DriverRetryableError: the switch was not reached, or not in time.
        """
        said = await self._reach.read(commands, device)
        for _ in range(READS_MAX - 1):
            if not any(INTERRUPTED in text for text in said.values()):
                break
            said = await self._reach.read(commands, device)
        return said

    async def apply(self, device: DeviceId, *parts: str) -> str:
        """Run parts of a shell script in a row; stops at the first error.

        Raises:
            DriverRetryableError: it was not reached, or not in time.
            DriverPermanentError: a command failed; those before it were run.
        """
        return await self._reach.run("\n".join(part for part in parts if part), device)

    async def announces(self, device: DeviceId, vnis: Collection[int]) -> None:
        """Wait until its FRR tells the others of these networks; at once where none runs.

        Raises:
            DriverRetryableError: it does not in time.
        """
        missing = frozenset(vnis)
        for _ in range(int(self._wait_s_max / LOOK_S)):
            if not self._vtysh or not missing:
                return
            missing -= (await self.look(device)).announced or frozenset()
            if missing:
                await asyncio.sleep(LOOK_S)
        raise DriverRetryableError(
            f"{device}: FRR of switch {self.name} does not announce VNI"
            f" {', '.join(map(str, sorted(missing)))} after {self._wait_s_max:g} s",
            device=device,
            next_step=f"See 'show evpn vni' and 'show bgp l2vpn evpn summary' on {self.name}.",
        )

    def _announced(self, device: DeviceId, said: str) -> frozenset[int]:
        """Networks that both zebra and bgpd know.

        Raises:
            DriverRetryableError: one of them does not run, or bgpd has no neighbour.
        """
        try:
            zebra, bgp, summary = _documents(said)
        except ValueError as error:
            raise self._frr_fault(device, f"it said {said.strip()[-200:]!r}") from error
        peers: Mapping[str, Any] = summary.get("peers", {})
        if not any(peer.get("state") == "Established" for peer in peers.values()):
            raise self._frr_fault(device, "bgpd has no neighbour that speaks EVPN with it")
        known = {int(vni) for vni in bgp if vni.isdigit()}
        return frozenset(int(vni) for vni in zebra if vni.isdigit()) & known

    def _frr_fault(self, device: DeviceId, why: str) -> DriverRetryableError:
        return DriverRetryableError(
            f"{device}: FRR of switch {self.name} does not serve EVPN: {why}",
            device=device,
            next_step=f"See whether zebra and bgpd run on {self.name} (start bgpd again after"
            " zebra), and its links to spines.",
        )


def _documents(text: str) -> list[dict[str, Any]]:
    """The three JSON documents in a row.

    Raises:
        ValueError: they are not there.
    """
    decoder, found, place = json.JSONDecoder(), list[dict[str, Any]](), 0
    for _ in FRR_READS:
        start = text.index("{", place)
        document, place = decoder.raw_decode(text, start)
        found.append(document)
    return found
