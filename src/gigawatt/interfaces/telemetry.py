"""What GPUs report of themselves, whatever source the operator has."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One value of one GPU, under its DCGM name and labels."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class GpuField:
    """A field of DCGM: its name in an exposition, kind, unit and meaning."""

    name: str
    kind: Literal["gauge", "counter"]
    text: str


DCGM_FIELDS: tuple[GpuField, ...] = (
    GpuField("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %)."),
    GpuField("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %)."),
    GpuField("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz)."),
    GpuField("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz)."),
    GpuField("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C)."),
    GpuField("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C)."),
    GpuField("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W)."),
    GpuField("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Energy since boot (in mJ)."),
    GpuField("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB)."),
    GpuField("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB)."),
    GpuField("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error."),
    GpuField("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "PCIe retries."),
    GpuField("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter", "NVLink bandwidth, all lanes."),
    GpuField("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Rows remapped, uncorrectable."),
    GpuField("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Rows remapped, correctable."),
    GpuField("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed."),
    GpuField("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the engine is active."),
    GpuField("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Ratio of cycles the tensor pipe works."),
    GpuField("DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Ratio of cycles memory moves data."),
    GpuField("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "Rate of PCIe sending (in bytes/s)."),
    GpuField("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "Rate of PCIe receiving (in bytes/s)."),
)
"""Fields that are passed on. Source: NVIDIA/dcgm-exporter, etc/default-counters.csv."""

DCGM_LABELS = ("gpu", "UUID", "device", "modelName", "Hostname")
"""Labels of dcgm-exporter that say which GPU it is. Others (pod, container, job) are a tenant's
words and are not passed on. Source: NVIDIA/dcgm-exporter, internal/pkg/rendermetrics."""


SIMULATED = "simulated"
"""Label of samples that were made up, and the name of the source that makes them up."""


class Telemetry(Protocol):
    """A source of samples."""

    def read(self, names: Collection[str] | None = None) -> tuple[GpuSample, ...]:
        """Samples of now, with ``DCGM_LABELS``; of the fields ``names`` only, if some are given.

        Raises:
            DataError: the source does not answer or is not readable.
        """
        ...
