"""Cleaning of a slice of a host between two tenants: named steps, a time limit each, a receipt.

A driver lists its steps (``Step``) in order and runs them with ``clean``. ``hook_step`` makes the
step that is a command of the site: sanitise a disk, reset GPUs, burn in.
"""

from gigawatt.drivers.cleaning.commands import HookSettings, hook_step
from gigawatt.drivers.cleaning.engine import Slice, Step, StepFailedError, clean

__all__ = ["HookSettings", "Slice", "Step", "StepFailedError", "clean", "hook_step"]
