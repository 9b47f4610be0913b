"""Reports of utilisation, several of one window for the work of one."""

import threading

from gigawatt.app.market.utilisation import (
    FleetTime,
    UtilisationReport,
    UtilisationSources,
    fleet_time,
    refuse_window,
)
from gigawatt.economics.gpu_hour.inputs import CostInputs
from gigawatt.market.utilisation import By

KEPT_S = 10.0
"""How long the time of one window is kept. Ours: a page asks for it three times at once."""


class UtilisationDesk:
    """Makes reports, and keeps the window that was worked out last for a moment."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._lock = threading.Lock()
        self._kept: tuple[float, FleetTime] | None = None

    def report(
        self, sources: UtilisationSources, window: tuple[int, int], by: By, now_s: float
    ) -> UtilisationReport:
        """Utilisation of a window that has passed, as of the last seconds.

        Raises:
            InputError: the window is empty, too long, or has too many hours for rows of hours.
            DataError: the store says that a GPU was in two states at once.
        """
        refuse_window(window, by)
        # One at a time: who asks for the same window meanwhile finds it worked out.
        with self._lock:
            found = self._of(window, now_s)
            if found is None:
                found = fleet_time(sources, window, CostInputs())
                self._kept = now_s, found
        return found.report(by)

    def _of(self, window: tuple[int, int], now_s: float) -> FleetTime | None:
        if self._kept is None:
            return None
        made_s, found = self._kept
        is_same = (found.from_ms, found.to_ms) == window
        return found if is_same and 0.0 <= now_s - made_s < KEPT_S else None
