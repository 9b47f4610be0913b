"""What the host plane asks of a BMC."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import sushy
from typing_extensions import override

from gigawatt.drivers.redfish.bmc import Bmc, BootSource, PowerState
from gigawatt.ids import NodeId

ACCOUNTS_MAX = 256
"""More accounts than this are not read: no BMC has them. Ours."""


class HostBmc(Protocol):
    """One BMC. Every call raises ``DriverRetryableError`` or ``DriverPermanentError``."""

    async def power_state(self) -> PowerState:
        """Read now."""
        ...

    async def power_on(self) -> None:
        """Power on; nothing to do if it is on."""
        ...

    async def power_off(self, *, graceful: bool = False) -> None:
        """Power off; nothing to do if it is off."""
        ...

    async def boot_once_from(self, source: BootSource) -> None:
        """Boot from there once; "none" takes this back."""
        ...

    async def insert_media(self, url: str) -> None:
        """Put this in the virtual CD drive instead of what is in it."""
        ...

    async def eject_media(self) -> None:
        """Empty the virtual CD drive."""
        ...

    async def firmware_versions(self) -> Mapping[str, str]:
        """Version by Redfish id."""
        ...

    async def account_roles(self) -> Mapping[str, str]:
        """Role by name of every account that is there."""
        ...

    async def left_behind(self) -> tuple[str, ...]:
        """What is in virtual drives, and a boot override that is set; in words."""
        ...


BmcOf = Callable[[NodeId], HostBmc]
"""The BMC of a node."""


class RedfishHostBmc(Bmc):
    """``HostBmc`` over Redfish."""

    @override
    async def firmware_versions(self) -> dict[str, str]:
        """Version of each firmware by its Redfish id; from BMCs that cannot update it, too."""

        def read(root: sushy.Sushy) -> dict[str, str]:
            service = _get(root, root.json["UpdateService"]["@odata.id"])
            members = _get(root, service["FirmwareInventory"]["@odata.id"])["Members"]
            found = [_get(root, member["@odata.id"]) for member in members]
            return {str(item["Id"]): str(item.get("Version")) for item in found}

        return await self._call("read the firmware", read)

    async def account_roles(self) -> dict[str, str]:
        """Role by name of every account that is there; an empty slot is none."""

        def read(root: sushy.Sushy) -> dict[str, str]:
            service = _get(root, root.json["AccountService"]["@odata.id"])
            members = _get(root, service["Accounts"]["@odata.id"])["Members"]
            found = [_get(root, member["@odata.id"]) for member in members[:ACCOUNTS_MAX]]
            return {str(a["UserName"]): str(a["RoleId"]) for a in found if a.get("UserName")}

        return await self._call("read the accounts", read)

    async def left_behind(self) -> tuple[str, ...]:
        """What is in virtual drives, and a boot override that is set; in words."""

        def read(root: sushy.Sushy) -> tuple[str, ...]:
            system = root.get_system()
            boot = system.json.get("Boot", {})
            enabled = boot.get("BootSourceOverrideEnabled", "Disabled")
            target = boot.get("BootSourceOverrideTarget", "None")
            words = [f"{drive} holds {url}" for drive, url in _full_drives(root, system)]
            if enabled != "Disabled" and target != "None":
                words.append(f"boots {enabled.lower()} from {target}")
            return tuple(words)

        return await self._call("read the virtual media", read)


def _full_drives(root: sushy.Sushy, system: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - sushy's
    paths = [system.json["VirtualMedia"]] if "VirtualMedia" in system.json else []
    managers = (_get(root, m["@odata.id"]) for m in system.json["Links"].get("ManagedBy", ()))
    paths += [manager["VirtualMedia"] for manager in managers if "VirtualMedia" in manager]
    drives = [
        _get(root, d["@odata.id"]) for p in paths for d in _get(root, p["@odata.id"])["Members"]
    ]
    return [(str(d["Id"]), str(d.get("Image"))) for d in drives if d.get("Inserted")]


def _get(root: sushy.Sushy, path: str) -> dict[str, Any]:
    """A resource as it is now; sushy has no class for accounts and keeps others."""
    return dict(root._conn.get(path).json())  # noqa: SLF001 - sushy's only way to a raw resource
