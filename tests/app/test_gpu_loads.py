"""What GPUs report, as those see it who look at the floor.

Goal: a sample stands at its GPU or nowhere; a source that is silent, slow or broken is told as
that, and what is old is not shown as new.
Method: expositions as dcgm-exporter writes them, one of them over HTTP; a clock of our own.
"""

import http.server
import threading

import numpy as np
import pytest
from typing_extensions import override

from gigawatt.app.gpu_loads import FRESH_S, KEPT_S_MAX, GpuLoads, open_loads
from gigawatt.app.watch.telemetry import RelayedTelemetry
from gigawatt.errors import InputError
from gigawatt.fleet.demo import hgx_fleet

FLEET = hgx_fleet(128)
NODE = FLEET.nodes.ids[3]
SAID = f"""# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{{gpu="0",UUID="GPU-1",device="nvidia0",Hostname="{NODE}",pod="acme"}} 97
DCGM_FI_DEV_GPU_UTIL{{gpu="7",UUID="GPU-2",device="nvidia7",Hostname="{NODE}.dc.example"}} 3
DCGM_FI_DEV_POWER_USAGE{{gpu="0",UUID="GPU-1",device="nvidia0",Hostname="{NODE}"}} 612.5
DCGM_FI_DEV_POWER_USAGE{{gpu="1",UUID="GPU-3",device="nvidia1",Hostname="{NODE}"}} 140737488355328
DCGM_FI_DEV_POWER_USAGE{{gpu="8",UUID="GPU-4",device="nvidia8",Hostname="{NODE}"}} 100
DCGM_FI_DEV_POWER_USAGE{{gpu="0",UUID="GPU-5",device="nvidia0",Hostname="elsewhere"}} 100
DCGM_FI_DEV_GPU_TEMP{{gpu="0",UUID="GPU-1",device="nvidia0",Hostname="{NODE}"}} 41
"""


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now_s(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        self.at_s += seconds


def test_a_sample_stands_at_its_gpu_or_nowhere():
    loads = GpuLoads(FLEET, Clock(), RelayedTelemetry(lambda: SAID, "test"))
    assert loads.now().state in {"reading", "live"}
    loads.settle(10.0)
    found = loads.now()
    assert (found.state, found.reason) == ("live", "")
    load = found.load
    assert load is not None
    row = FLEET.nodes.index_of[NODE]
    assert load.utilisation_percent[row, 0] == 97
    assert load.utilisation_percent[row, 7] == 3, "a host with its domain is that host"
    assert load.power_w[row, 0] == 612.5
    assert np.count_nonzero(~np.isnan(load.power_w)) == 1, "DCGM's blank is no power"
    assert load.unknown_count == 3
    assert not load.is_simulated


def test_without_a_source_nothing_is_known_and_nothing_is_read():
    found = open_loads(None, FLEET, Clock()).now()
    assert (found.state, found.load) == ("none", None)


def test_what_is_made_up_says_so():
    loads = open_loads("simulated", FLEET, Clock())
    loads.now()
    loads.settle(10.0)
    load = loads.now().load
    assert load is not None
    assert load.is_simulated
    assert np.count_nonzero(~np.isnan(load.power_w)) == 128


def test_a_source_that_breaks_is_told_and_what_it_said_gets_old():
    clock, texts = Clock(), [SAID]

    def fetch() -> str:
        if not texts:
            raise InputError("gone")
        return texts.pop()

    loads = GpuLoads(FLEET, clock, RelayedTelemetry(fetch, "test"))
    loads.now()
    loads.settle(10.0)
    assert loads.now().state == "live"
    clock.at_s += FRESH_S
    loads.now()
    loads.settle(10.0)
    found = loads.now()
    assert found.state == "failed"
    assert "gone" in found.reason
    assert found.load is not None, "a minute ago it was so"
    clock.at_s += KEPT_S_MAX
    assert loads.now().load is None
    loads.settle(10.0)


def test_it_is_read_only_so_often_however_many_ask():
    clock, reads = Clock(), []

    def fetch() -> str:
        reads.append(clock.at_s)
        return SAID

    loads = GpuLoads(FLEET, clock, RelayedTelemetry(fetch, "test"))
    for _ in range(20):
        loads.now()
        loads.settle(10.0)
    assert len(reads) == 1
    clock.at_s += FRESH_S
    loads.now()
    loads.settle(10.0)
    assert len(reads) == 2


class Exporter(http.server.BaseHTTPRequestHandler):
    """Answers as a dcgm-exporter does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(SAID.encode())

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("is_there", [True, False])
def test_an_exporter_is_read_over_http(is_there: bool):
    with http.server.HTTPServer(("127.0.0.1", 0), Exporter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        if not is_there:
            server.shutdown()
            server.socket.close()
        loads = open_loads(url, FLEET, Clock())
        loads.now()
        loads.settle(20.0)
        found = loads.now()
        server.shutdown()
        thread.join()
    assert found.state == ("live" if is_there else "failed")
    assert (found.load is not None) is is_there
