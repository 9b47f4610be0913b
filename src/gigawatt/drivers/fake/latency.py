"""How long a device takes, in seconds of the clock it is given.

Illustrative figures, chosen in the right order of magnitude, except where a source is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from gigawatt.ids import DeviceId


@dataclass(frozen=True, slots=True)
class Latency:
    """Time that calls take: median by "<call> <class of device>", 0 where none is named.

    Fields:
        median_s: seconds by call and class of device, e.g. ``"ensure host"``.
        spread: standard deviation of the logarithm of the time; 0 makes it constant.
        seed: of the draws.
    """

    median_s: Mapping[str, float] = field(default_factory=dict)
    spread: float = 0.0
    seed: int = 0

    def draw_s(self, call: str, device: DeviceId, number: int) -> float:
        """Seconds that call ``number`` on ``device`` takes; the same for the same arguments."""
        median_s = self.median_s.get(f"{call} {device.partition('/')[0]}", 0.0)
        if median_s == 0.0 or self.spread == 0.0:
            return median_s
        draw = Random(f"{self.seed} {call} {device} {number}")  # noqa: S311 - repeats on purpose
        return median_s * draw.lognormvariate(0.0, self.spread)


NO_LATENCY = Latency()
"""Every call returns at once."""

SITE_LATENCY_MEDIAN_S: Mapping[str, float] = {
    "ensure fabric": 4.0,
    "remove fabric": 4.0,
    "ensure port": 1.0,
    "remove port": 1.0,
    "ensure gateway": 1.0,
    "remove gateway": 1.0,
    "ensure bmc": 2.0,
    "remove bmc": 2.0,
    "ensure oob": 0.5,
    "remove oob": 0.5,
    "ensure pool": 2.0,
    "remove pool": 30.0,
    "ensure host": 480.0,
    "remove host": 900.0,
    "observe fabric": 5.0,
    "probe fabric": 2.0,
}
"""A site's medians.

fabric: OpenSM 3.3.23 on ibsim, 10,001 ports: first P_Key of a change seen after 3.7 to 4.5 s.
port, gateway: FRR 8.4 EVPN in namespaces: first ping in a new VNI after 1.05 s. Both measured on
2 cores. host: a boot of eight minutes and a cleaning of fifteen, and all the rest: illustrative.
"""


def site_latency(seed: int) -> Latency:
    """Times like those of a real site, spread by about a third (illustrative)."""
    return Latency(SITE_LATENCY_MEDIAN_S, spread=0.3, seed=seed)
