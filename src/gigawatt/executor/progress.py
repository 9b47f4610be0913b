"""Progress of an operation, told while it happens."""

from collections.abc import Callable
from dataclasses import dataclass

from gigawatt.ids import OperationId


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an operation is: ``done_count`` of ``step_count`` steps of a stage, by plane.

    ``planes`` maps a plane's name to (done, total).
    """

    operation_id: OperationId
    stage: str
    planes: dict[str, tuple[int, int]]

    @property
    def done_count(self) -> int:
        """Steps done in the stage."""
        return sum(done for done, _ in self.planes.values())

    @property
    def step_count(self) -> int:
        """Steps of the stage."""
        return sum(total for _, total in self.planes.values())


Listener = Callable[[Progress], None]


def ignore(_progress: Progress) -> None:
    """A listener that wants to know nothing."""
