"""Telemetry of GPUs: relayed from an exposition of the operator's, or simulated and labelled so.

Gigawatt invents no measurement. What a relay passes on is what its source said, under the names and
labels of DCGM, with where the node stands; every sample of the simulation has ``simulated="true"``.
"""

from collections.abc import Callable, Collection, Iterable
from hashlib import blake2b
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from gigawatt.app.home import read_text
from gigawatt.errors import DataError, InputError
from gigawatt.fleet.model import Fleet
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.telemetry import (
    DCGM_FIELDS,
    DCGM_LABELS,
    SIMULATED,
    GpuSample,
    Telemetry,
)

EXPOSITION_BYTES_MAX = 64 * 1024 * 1024
"""Largest exposition that is read: 10,000 GPUs with 21 fields are about 40 MB. Ours."""

READ_TIMEOUT_S = 5.0
"""How long a source may take. Ours: half of Prometheus' default."""

_KINDS = {field.name: field for field in DCGM_FIELDS}
_MHZ_SM, _MHZ_MEMORY, _MIB_FRAMEBUFFER, _W_IDLE, _W_SPAN = 1_980, 2_619, 81_559, 70.0, 600.0


class RelayedTelemetry:
    """Passes on what an exposition says, e.g. of a dcgm-exporter or a federation of many."""

    def __init__(self, fetch: Callable[[], str], name: str) -> None:
        """Read what ``fetch`` gives; ``name`` says in errors where that is from."""
        self._fetch = fetch
        self._name = name

    def read(self, names: Collection[str] | None = None) -> tuple[GpuSample, ...]:
        """Samples of the fields that are passed on; everything else is dropped."""
        try:
            text = self._fetch()
            return tuple(_samples(text if names is None else _of_fields(text, names)))
        except (httpx.HTTPError, InputError, ValueError) as error:
            raise DataError(f"telemetry from {self._name} is not readable: {error}") from error


def _of_fields(text: str, names: Collection[str]) -> str:
    """The lines of a few fields: reading all of them takes a hundred times as long as this."""
    heads = tuple(f"{name}{mark}" for name in names for mark in ("{", "_total{"))
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith(heads))


def _samples(text: str) -> Iterable[GpuSample]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # The parser puts "_total" behind counters; DCGM's names have none.
            name = sample.name if sample.name in _KINDS else sample.name.removesuffix("_total")
            if name in _KINDS:
                labels = {key: sample.labels.get(key, "") for key in DCGM_LABELS}
                if sample.labels.get(SIMULATED):
                    labels[SIMULATED] = "true"
                yield GpuSample(name, labels, float(sample.value))


def fetch_url(url: str) -> Callable[[], str]:
    """What reads a URL, within bounds of time and size."""

    def fetch() -> str:
        chunks: list[bytes] = []
        with httpx.stream("GET", url, timeout=READ_TIMEOUT_S) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                if sum(map(len, chunks)) > EXPOSITION_BYTES_MAX:
                    raise InputError(f"more than {EXPOSITION_BYTES_MAX:,} bytes")
        return b"".join(chunks).decode()

    return fetch


class SimulatedTelemetry:
    """Made-up samples of a whole fleet, so that boards can be tried; every one says that it is."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        """Make up samples for ``fleet``, which change with ``clock``."""
        self._fleet = fleet
        self._clock = clock

    def read(self, names: Collection[str] | None = None) -> tuple[GpuSample, ...]:
        """A sample of every field of every GPU, or of a few fields."""
        fleet, now_s = self._fleet, self._clock.now_s()
        found: list[GpuSample] = []
        for row, node_id in enumerate(fleet.nodes.ids):
            kind = fleet.node_type(row)
            for gpu in range(kind.gpu_count):
                digest = blake2b(f"{node_id} {gpu}".encode(), digest_size=16).hexdigest()
                labels = {
                    "gpu": str(gpu),
                    "UUID": f"GPU-{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}",
                    "device": f"nvidia{gpu}",
                    "modelName": f"simulated {kind.gpu_type}",
                    "Hostname": node_id,
                    SIMULATED: "true",
                }
                load = _load(digest, now_s)
                found.extend(
                    GpuSample(name, labels, value)
                    for name, value in _values(load, now_s).items()
                    if names is None or name in names
                )
        return tuple(found)


def _load(digest: str, now_s: float) -> float:
    """0 to 1: a slow triangle, shifted from GPU to GPU."""
    phase = (now_s / 600.0 + int(digest[:8], 16) / 2**32) % 1.0
    return 1.0 - abs(2.0 * phase - 1.0)


def _values(load: float, now_s: float) -> dict[str, float]:
    power_w = _W_IDLE + _W_SPAN * load
    made = {
        "DCGM_FI_DEV_GPU_UTIL": round(100 * load),
        "DCGM_FI_DEV_MEM_COPY_UTIL": round(60 * load),
        "DCGM_FI_DEV_SM_CLOCK": _MHZ_SM,
        "DCGM_FI_DEV_MEM_CLOCK": _MHZ_MEMORY,
        "DCGM_FI_DEV_GPU_TEMP": round(30 + 40 * load),
        "DCGM_FI_DEV_MEMORY_TEMP": round(35 + 45 * load),
        "DCGM_FI_DEV_POWER_USAGE": round(power_w, 1),
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": round(now_s * 1000 * (_W_IDLE + _W_SPAN / 2)),
        "DCGM_FI_DEV_FB_USED": round(_MIB_FRAMEBUFFER * load),
        "DCGM_FI_DEV_FB_FREE": _MIB_FRAMEBUFFER - round(_MIB_FRAMEBUFFER * load),
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": round(load, 4),
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": round(0.6 * load, 4),
        "DCGM_FI_PROF_DRAM_ACTIVE": round(0.5 * load, 4),
        "DCGM_FI_PROF_PCIE_TX_BYTES": round(1e9 * load),
        "DCGM_FI_PROF_PCIE_RX_BYTES": round(1e9 * load),
    }
    return {name: float(made.get(name, 0.0)) for name in _KINDS}


def open_telemetry(source: str, fleet: Fleet, clock: Clock) -> Telemetry:
    """The telemetry that a setting names: "simulated", a URL, or the path of a file."""
    if source == SIMULATED:
        return SimulatedTelemetry(fleet, clock)
    if source.startswith(("http://", "https://")):
        return RelayedTelemetry(fetch_url(source), source.partition("?")[0])
    return RelayedTelemetry(lambda: read_text(Path(source)), source)


def exposition_of(samples: Iterable[GpuSample], fleet: Fleet) -> bytes:
    """Samples as text, each with the rack and the leaf group of its node if the fleet has it."""
    places = _places(fleet)
    lines: dict[str, list[str]] = {name: [] for name in _KINDS}
    for sample in samples:
        labels = {**sample.labels, **places.get(sample.labels.get("Hostname", ""), {})}
        inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        lines[sample.name].append(f"{sample.name}{{{inner}}} {sample.value!r}")
    out: list[str] = []
    for name, found in lines.items():
        if found:
            field = _KINDS[name]
            out += [f"# HELP {name} {field.text}", f"# TYPE {name} {field.kind}", *found]
    return ("\n".join(out) + "\n").encode()


def _places(fleet: Fleet) -> dict[str, dict[str, str]]:
    return {
        node_id: {
            "rack": fleet.racks.ids[int(fleet.nodes.rack[row])],
            "leaf_group": fleet.leaf_groups.ids[int(fleet.nodes.leaf_group[row])],
        }
        for row, node_id in enumerate(fleet.nodes.ids)
    }


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
