"""Telemetry of GPUs.

Goal: what a source says is passed on under DCGM's names and labels, with nothing added but where
the node stands, and nothing of a tenant's; what is made up says so on every line.
Method: an exposition in the form of dcgm-exporter goes through the relay; the result is read by
Prometheus' own parser. Broken and hostile texts are refused.
"""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gigawatt.app.home import Home
from gigawatt.app.service import open_service
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.app.watch.showing import showing
from gigawatt.app.watch.telemetry import (
    RelayedTelemetry,
    SimulatedTelemetry,
    exposition_of,
    open_telemetry,
)
from gigawatt.errors import DataError, InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.interfaces.telemetry import DCGM_FIELDS, DCGM_LABELS

FLEET = hgx_fleet(128)
NODE = FLEET.nodes.ids[3]
SAID = f"""# HELP DCGM_FI_DEV_GPU_TEMP GPU temperature (in C).
# TYPE DCGM_FI_DEV_GPU_TEMP gauge
DCGM_FI_DEV_GPU_TEMP{{gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",\
Hostname="{NODE}",pod="acme-secret-model",namespace="acme"}} 41
# HELP DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION Total energy consumption since boot (in mJ).
# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu="0",UUID="GPU-1",device="nvidia0",modelName="H",\
Hostname="{NODE}"}} 1.25e+12
# TYPE go_goroutines gauge
go_goroutines 12
"""


class Noon:
    """A clock that stands."""

    def now_s(self) -> float:
        return 1_000_000.0

    async def sleep(self, duration_s: float) -> None:
        raise AssertionError(f"nobody sleeps {duration_s}")


def read_again(text: bytes) -> dict[str, list[Any]]:
    return {
        family.name: [(sample.name, sample.labels, sample.value) for sample in family.samples]
        for family in text_string_to_metric_families(text.decode())
    }


def test_what_the_source_says_is_passed_on_with_where_the_node_stands():
    found = RelayedTelemetry(lambda: SAID, "test").read()
    read = read_again(exposition_of(found, FLEET))
    [(name, labels, value)] = read["DCGM_FI_DEV_GPU_TEMP"]
    assert (name, value) == ("DCGM_FI_DEV_GPU_TEMP", 41.0)
    assert set(labels) == {*DCGM_LABELS, "rack", "leaf_group"}
    assert labels["modelName"] == "NVIDIA H100 80GB HBM3"
    row = FLEET.nodes.index_of[NODE]
    assert labels["rack"] == FLEET.racks.ids[int(FLEET.nodes.rack[row])]
    [(_, _, energy_mj)] = read["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"]
    assert energy_mj == 1.25e12
    text = exposition_of(found, FLEET).decode()
    assert "\nDCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{" in text, "DCGM's counters have no _total"
    assert "acme" not in text
    assert "go_goroutines" not in text


def test_a_node_that_the_fleet_lacks_is_passed_on_without_a_place():
    text = SAID.replace(NODE, "elsewhere")
    [(_, labels, _)] = read_again(
        exposition_of(RelayedTelemetry(lambda: text, "test").read(), FLEET)
    )["DCGM_FI_DEV_GPU_TEMP"]
    assert set(labels) == set(DCGM_LABELS)


def test_every_simulated_sample_says_so():
    found = SimulatedTelemetry(FLEET, Noon()).read()
    assert len(found) == 128 * len(DCGM_FIELDS)
    assert all(sample.labels["simulated"] == "true" for sample in found)
    relayed = RelayedTelemetry(lambda: exposition_of(found, FLEET).decode(), "test").read()
    assert all(sample.labels["simulated"] == "true" for sample in relayed), "also second-hand"
    assert {(s.name, s.labels["UUID"], s.value) for s in relayed} == {
        (s.name, s.labels["UUID"], s.value) for s in found
    }
    assert len({sample.labels["UUID"] for sample in found}) == 128


@pytest.mark.parametrize("text", ["{", "DCGM_FI_DEV_GPU_TEMP{gpu=0} 1", "a b c d e", "\0"])
def test_what_is_no_exposition_is_refused(text: str):
    with pytest.raises(DataError, match="test is not readable"):
        RelayedTelemetry(lambda: text, "test").read()


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str):
    try:
        found = RelayedTelemetry(lambda: text, "test").read()
    except DataError:
        return
    assert all(sample.name.startswith("DCGM_FI_") for sample in found)


@given(st.text(max_size=40))
def test_any_label_survives(model_name: str):
    found = SimulatedTelemetry(FLEET, Noon()).read()[:1]
    found[0].labels["modelName"] = model_name  # type: ignore[index]
    [[(_, labels, _)]] = read_again(exposition_of(found, FLEET)).values()
    assert labels["modelName"] == model_name


def test_a_url_is_relayed_on_the_listener_and_its_end_is_no_error(tmp_path: Any):
    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SAID.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    home = Home(tmp_path, database_url=None)
    home.fleet_path.write_text(dump_fleet(FLEET), encoding="utf-8")
    source = HTTPServer(("127.0.0.1", 0), Exporter)
    thread = threading.Thread(target=source.serve_forever)
    thread.start()
    settings = WatchSettings(
        metrics_listen="127.0.0.1:0",
        telemetry=f"http://127.0.0.1:{source.server_port}/metrics",
        proof_pause_s=None,
    )
    with (
        open_service(home, settings=settings) as service,
        showing(service.watching, service.control) as at,
    ):
        assert at is not None
        url = f"http://{at[0]}:{at[1]}/telemetry"
        assert "DCGM_FI_DEV_GPU_TEMP{" in httpx.get(url).text
        source.shutdown()
        source.server_close()
        thread.join()
        answer = httpx.get(url)
        assert (answer.status_code, answer.text) == (200, "")


def test_a_file_that_is_not_there_is_told(tmp_path: Any):
    with pytest.raises(DataError, match="cannot be read"):
        open_telemetry(str(tmp_path / "none"), FLEET, Noon()).read()


@pytest.mark.parametrize(
    ("listen", "key", "message"),
    [
        ("0.0.0.0:0", None, "open to everybody"),
        ("[::]:0", None, "open to everybody"),
        ("192.0.2.1:0", None, "open to everybody"),
        ("127.0.0.1:0", "short", "wanted at least 16"),
        ("nowhere", None, "is not HOST:PORT"),
    ],
)
def test_metrics_are_not_shown_to_a_network_without_a_key(
    tmp_path: Any, listen: str, key: str | None, message: str
):
    home = Home(tmp_path, database_url=None)
    home.fleet_path.write_text(dump_fleet(FLEET), encoding="utf-8")
    key_file = None
    if key is not None:
        key_file = tmp_path / "key"
        key_file.write_text(key)
    settings = WatchSettings(metrics_listen=listen, metrics_key_file=key_file, proof_pause_s=None)
    with (
        open_service(home, settings=settings) as service,
        pytest.raises(InputError, match=message),
        showing(service.watching, service.control),
    ):
        raise AssertionError("it was shown")


def test_settings_come_from_the_environment():
    found = WatchSettings.of_environment(
        {
            "GIGAWATT_METRICS_LISTEN": "127.0.0.1:9464",
            "GIGAWATT_LOG_FORMAT": "json",
            "GIGAWATT_REPLICA": "gw-1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        }
    )
    assert (found.metrics_listen, found.log_format, found.replica) == (
        "127.0.0.1:9464",
        "json",
        "gw-1",
    )
    assert found.is_tracing
    plain = WatchSettings.of_environment({})
    assert (plain.metrics_listen, plain.is_tracing, plain.telemetry) == (None, False, None)
    with pytest.raises(InputError, match="wanted 'text' or 'json'"):
        WatchSettings.of_environment({"GIGAWATT_LOG_FORMAT": "xml"})
