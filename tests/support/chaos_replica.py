"""A ``gw server`` whose fake devices take their time and go wrong now and then.

Run as ``python chaos_replica.py TCP_PORT SEED RECONCILE_S SLOWNESS``; all but the devices is the
real server: the same wiring, signals, threads and application. With a slowness of 0 they always
answer, and at once.
"""

import faulthandler
import signal
import sys
from functools import partial

from gigawatt.app.home import Home
from gigawatt.app.rate import RateLimiter
from gigawatt.app.server import load_application, make_server, run_server
from gigawatt.app.service import open_service
from gigawatt.app.wiring import PLAIN_SITE, FakeSite
from gigawatt.drivers.fake.faults import FaultKind, FaultRule, Faults
from gigawatt.drivers.fake.latency import Latency

APPLICATION = "gigawatt.api.application:build_application"
GRACE_S = 1.0

CHANCE = 0.005
RULES = tuple(
    FaultRule(kind, count=None, chance=CHANCE)
    for kind in (FaultKind.BUSY, FaultKind.TIMEOUT, FaultKind.LOST_REPLY)
)
"""Faults that a second try gets over; illustrative."""

MEDIAN_S = {
    "ensure fabric": 0.05,
    "remove fabric": 0.05,
    "ensure port": 0.02,
    "remove port": 0.02,
    "ensure bmc": 0.02,
    "remove bmc": 0.02,
    "ensure host": 0.02,
    "boot host": 0.2,
    "remove host": 0.2,
}
"""Illustrative: a hundredth of a site's, so that many operations are under way in minutes."""


def main() -> None:
    """Serve until told to stop."""
    faulthandler.register(signal.SIGUSR1)
    tcp_port, seed, reconcile_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    median_s = {call: float(sys.argv[4]) * duration_s for call, duration_s in MEDIAN_S.items()}
    site = FakeSite(partial(Faults, RULES, seed=seed), Latency(median_s, spread=0.3, seed=seed))
    if float(sys.argv[4]) == 0.0:
        site = PLAIN_SITE
    with open_service(Home.default(), site, reconcile_s) as service:
        service.rate = RateLimiter(rate_per_s=1e6, burst_count=1e6)
        server = make_server(load_application(APPLICATION), service, "127.0.0.1", tcp_port)
        run_server(server, service, GRACE_S)


if __name__ == "__main__":
    main()
