"""``python -m gigawatt.lab.redfish CONFIG READY``: run the simulator until it is killed.

CONFIG is a ``SimulatorConfig`` as JSON; the file READY is made when every BMC listens.
"""

import sys
import threading
from pathlib import Path

from gigawatt.lab.redfish.config import SimulatorConfig
from gigawatt.lab.redfish.control import ControlDoor
from gigawatt.lab.redfish.server import Simulator


def main() -> None:
    """Run it."""
    config_path, ready_path = map(Path, sys.argv[1:])
    config = SimulatorConfig.model_validate_json(config_path.read_bytes())
    simulator = Simulator(config)
    ControlDoor(config.control_path, simulator)
    ready_path.write_text("ready\n")
    threading.Event().wait()


if __name__ == "__main__":
    main()
