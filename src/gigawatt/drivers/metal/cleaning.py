"""The steps by which a bare-metal node is cleaned between two tenants."""

from collections.abc import Mapping
from typing import get_args

from gigawatt.drivers.cleaning import Step, StepFailedError, hook_step
from gigawatt.drivers.metal.booting import Booting
from gigawatt.drivers.metal.host_bmc import HostBmc
from gigawatt.drivers.metal.settings import HookName, MetalSettings
from gigawatt.ids import DeviceId, NodeId

READ_S_MAX = 120.0
"""Longest time of a step that only asks the BMC. Ours: a dozen requests of ten seconds."""

NAME_OF_HOOK: Mapping[HookName, str] = {
    "prove_off": "prove power off",
    "sanitise_disk": "sanitise disk",
    "sample_disk": "sample disk",
    "reset_gpus": "reset GPU memory",
    "reset_nvlink": "reset NVLink",
    "burn_in": "burn in",
}
assert set(NAME_OF_HOOK) == set(get_args(HookName)), "every hook is a step"


class MetalCleaning:
    """The steps for one node."""

    def __init__(
        self, settings: MetalSettings, booting: Booting, bmc: HostBmc, node_id: NodeId
    ) -> None:
        """Clean ``node_id``, whose BMC is ``bmc``."""
        self._settings = settings
        self._wanted = settings.cleaning
        self._booting = booting
        self._bmc = bmc
        self._node_id = node_id
        self._device = DeviceId(f"host/{node_id}")

    def steps(self) -> tuple[Step, ...]:
        """In order. The node is off during all of them but the power cycle."""
        off_s_max = 2 * self._settings.off_s_max + READ_S_MAX
        cycle_s_max = self._settings.on_s_max + off_s_max
        return (
            Step("power off", off_s_max, self._power_off),
            self._hook("prove_off"),
            self._hook("sanitise_disk"),
            self._hook("sample_disk"),
            Step("empty virtual drives", READ_S_MAX, self._empty_drives),
            Step("BMC accounts", READ_S_MAX, self._accounts),
            Step("firmware", READ_S_MAX, self._firmware),
            self._hook("reset_gpus"),
            self._hook("reset_nvlink"),
            self._hook("burn_in"),
            Step("power cycle", cycle_s_max, self._power_cycle),
        )

    def _hook(self, name: HookName) -> Step:
        is_required = name in self._wanted.required_hooks
        hook = self._wanted.hooks.get(name)
        return hook_step(NAME_OF_HOOK[name], hook, self._node_id, is_required=is_required)

    async def _power_off(self) -> str:
        await self._booting.off(self._bmc, self._device, is_graceful=False)
        return "the BMC says off"

    async def _empty_drives(self) -> str:
        await self._bmc.eject_media()
        await self._bmc.boot_once_from("none")
        left = await self._bmc.left_behind()
        if left:
            raise StepFailedError("; ".join(left))
        return "drives empty, no boot override"

    async def _accounts(self) -> str:
        wanted, found = self._wanted.golden_accounts, dict(await self._bmc.account_roles())
        wrong = [
            f"{n} ({found[n]}) does not belong there" for n in sorted(found.keys() - wanted.keys())
        ]
        wrong += [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
        wrong += [
            f"{name} is {found[name]}, wanted {role}"
            for name, role in sorted(wanted.items())
            if found.get(name, role) != role
        ]
        if wrong:
            raise StepFailedError("; ".join(wrong))
        return f"{len(found)} accounts, all golden: {', '.join(sorted(found))}"

    async def _firmware(self) -> str:
        wanted = self._wanted.golden_firmware
        if not wanted:
            return "not done: no golden firmware configured"
        found = await self._bmc.firmware_versions()
        wrong = [
            f"{name} is {found.get(name, 'not there')}, wanted {version}"
            for name, version in sorted(wanted.items())
            if found.get(name) != version
        ]
        if wrong:
            raise StepFailedError("; ".join(wrong))
        return ", ".join(f"{name} {version}" for name, version in sorted(wanted.items()))

    async def _power_cycle(self) -> str:
        await self._bmc.power_on()
        if (await self._bmc.power_state()).power != "on":
            raise StepFailedError("it did not power on")
        await self._booting.off(self._bmc, self._device, is_graceful=False)
        return "on and off again"
