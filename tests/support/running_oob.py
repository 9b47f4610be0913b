"""The out-of-band part of a lab, running in this room, and a driver of it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gigawatt.app.clock import SystemClock
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.redfish.opening import RedfishDriver, open_redfish
from gigawatt.drivers.redfish.settings import RedfishSettings
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import OOB_INTERFACE, LabSpec, Layout
from gigawatt.lab.oob import OobPart, control_of
from gigawatt.lab.running import Running
from memory_secrets import MemorySecrets


class RunningOob:
    """One site, its BMCs and its switch; close it at the end."""

    def __init__(self, node_count: int, slot_count: int = 16) -> None:
        self._folder = TemporaryDirectory(prefix="gigawatt-oob-")
        spec = LabSpec(node_count=node_count)
        self.fleet = lab_fleet(spec)
        self.layout = Layout(spec, self.fleet)
        self.lab = Running(self.fleet, self.layout, Path(self._folder.name))
        self.part = OobPart(slot_count=slot_count)
        self.part.start(self.lab)
        self.control = control_of(self.lab)
        ((declared,),) = self.lab.settings.values()
        self.settings = RedfishSettings.model_validate(declared)
        self.secrets = MemorySecrets()
        self.driver = self.open()

    def open(self, **changed: Any) -> RedfishDriver:
        """A driver of this part, with other settings of its reach if any are given."""
        reach = self.settings.reach.model_copy(update=changed)
        settings = self.settings.model_copy(update={"reach": reach})
        folder = Path(self._folder.name) / "driver"
        receipts: Any = None
        return open_redfish(
            settings, Opening(self.fleet, SystemClock(), self.secrets, receipts, folder)
        )

    def close(self) -> None:
        """End the BMCs, and leave the room as it was for the next part."""
        self.lab.stop()
        names = ["oob", *map(self.layout.bmc_namespace, range(len(self.fleet.nodes)))]
        words = "".join(f"netns del {name}\n" for name in names)
        self.lab.run(["ip", "-batch", "-"], stdin=words)
        # The kernel takes a namespace down in its own time; its cable goes with this end at once.
        self.lab.run(["ip", "-force", "-batch", "-"], stdin=f"link del {OOB_INTERFACE}\n")
        self._folder.cleanup()
