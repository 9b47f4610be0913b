"""Powering one node on and off so that it is known what runs on it."""

from contextlib import suppress

from gigawatt.boundary.entries import HostSlice
from gigawatt.drivers.metal.host_bmc import HostBmc
from gigawatt.drivers.metal.seed import served_seed
from gigawatt.drivers.metal.settings import MetalSettings
from gigawatt.drivers.redfish.bmc import PowerState
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.ids import DeviceId
from gigawatt.interfaces.clock import Clock

LOOK_S_FIRST, LOOK_S_MAX = 0.25, 2.0
"""Pause between two reads of a BMC, doubled up to the maximum. Ours: a BMC is slow and has few
sessions."""

RUNNING = frozenset({"OSRunning"})
"""Words of Redfish's ``BootProgressTypes`` for an operating system that runs (DSP2046)."""


class Booting:
    """Power of nodes, by their BMCs."""

    def __init__(self, settings: MetalSettings, clock: Clock) -> None:
        """Be as patient as the settings say."""
        self._settings = settings
        self._clock = clock

    async def boot(self, bmc: HostBmc, wanted: HostSlice) -> None:
        """Boot a node, which is off, from a seed of its own; it runs when this returns.

        The seed is neither in the drive nor on the server then, nor after a failure.

        Raises:
            DriverRetryableError: the BMC did not answer.
            DriverPermanentError: the node does not come up, and is off again.
        """
        async with served_seed(wanted, self._settings.media) as url:
            try:
                await bmc.insert_media(url)
                await bmc.boot_once_from("cd")
                await bmc.power_on()
                await self._until_running(bmc, wanted.device)
                await bmc.eject_media()
            except DriverError:
                await self._undo(bmc, wanted.device)
                raise

    async def _undo(self, bmc: HostBmc, device: DeviceId) -> None:
        """Off, and nothing in the drive.

        Raises:
            DriverRetryableError: it cannot be told how the node is now.
        """
        try:
            await self.off(bmc, device, is_graceful=False)
            await bmc.eject_media()
            await bmc.boot_once_from("none")
        except DriverError as error:
            raise DriverRetryableError(
                f"{device} did not boot, and could not be taken back to off: {error}", device=device
            ) from error

    async def _until_running(self, bmc: HostBmc, device: DeviceId) -> None:
        until_s, pause_s = self._clock.now_s() + self._settings.on_s_max, LOOK_S_FIRST
        while True:
            state = await self._patiently(bmc, until_s)
            is_told = state.boot_progress is not None and self._settings.waits_for_system
            if state.power == "on" and is_told and state.boot_progress in RUNNING:
                return
            if self._clock.now_s() >= until_s:
                if state.power == "on" and not is_told:
                    return
                raise DriverPermanentError(
                    f"{device} did not boot within {self._settings.on_s_max:g} s: it is"
                    f" {state.power}, boot progress {state.boot_progress}",
                    device=device,
                    next_step="Look at the node's serial console.",
                )
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LOOK_S_MAX)

    async def _patiently(self, bmc: HostBmc, until_s: float) -> PowerState:
        """Power as the BMC says it; one that is busy is asked again until then.

        Raises:
            DriverRetryableError: it did not answer in time.
        """
        while True:
            try:
                return await bmc.power_state()
            except DriverRetryableError:
                if self._clock.now_s() >= until_s:
                    raise
                await self._clock.sleep(LOOK_S_MAX)

    async def off(self, bmc: HostBmc, device: DeviceId, *, is_graceful: bool) -> None:
        """Power off, by asking first if graceful; the BMC says off when this returns.

        Raises:
            DriverRetryableError: the BMC did not answer.
            DriverPermanentError: it does not go off.
        """
        if (await bmc.power_state()).power == "off":
            return
        if is_graceful:
            # Whether it was asked, refused or is too slow: force follows.
            with suppress(DriverError):
                await bmc.power_off(graceful=True)
                if await self._is_off(bmc, self._settings.graceful_s_max):
                    return
        await bmc.power_off()
        if not await self._is_off(bmc, self._settings.off_s_max):
            raise DriverPermanentError(
                f"{device} is still on {self._settings.off_s_max:g} s after its BMC was told to"
                " power it off",
                device=device,
                next_step="Cut its power at the PDU, then look at the BMC.",
            )

    async def _is_off(self, bmc: HostBmc, wait_s_max: float) -> bool:
        until_s, pause_s = self._clock.now_s() + wait_s_max, LOOK_S_FIRST
        while (await self._patiently(bmc, until_s)).power != "off":
            if self._clock.now_s() >= until_s:
                return False
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LOOK_S_MAX)
        return True
