"""What one accelerator can do at most: rates by precision, memory, links."""

from dataclasses import dataclass
from enum import StrEnum

from gigawatt.economics.quantities import check_positive
from gigawatt.errors import InputError
from gigawatt.fleet.catalogue import Accelerator

TERA = 1e12
GIGA = 1e9
SCALE_OUT_BYTES_PER_S = 50e9
"""One 400 Gbit/s NIC per accelerator, one direction. Source: DGX H100 datasheet (8 x NDR)."""


class Precision(StrEnum):
    """Number format of weights and of the multiplications."""

    FP4 = "fp4"
    FP8 = "fp8"
    BF16 = "bf16"


WEIGHT_BYTES = {Precision.FP4: 0.5625, Precision.FP8: 1.0, Precision.BF16: 2.0}
"""Bytes a parameter; fp4 with one 8-bit scale for each block of 16 (NVFP4)."""


@dataclass(frozen=True, slots=True)
class Silicon:
    """The limits of one accelerator that a roofline needs.

    Fields:
        name: as in the catalogue.
        peak_flop_per_s: dense peak by precision; a missing precision runs at the next wider one.
        memory_bytes, memory_bytes_per_s: high-bandwidth memory.
        scale_up_bytes_per_s: one direction, inside the scale-up domain; 0 for none.
        scale_up_count: accelerators in the scale-up domain.
        scale_out_bytes_per_s: one direction, between domains.
        tdp_w: of the chip or module; None where not published.
    """

    name: str
    peak_flop_per_s: dict[Precision, float]
    memory_bytes: float
    memory_bytes_per_s: float
    scale_up_bytes_per_s: float
    scale_up_count: int
    scale_out_bytes_per_s: float
    tdp_w: float | None

    def peak(self, precision: Precision) -> float:
        """FLOP/s, dense, at the precision or at the next wider one that the chip has."""
        order = (Precision.FP4, Precision.FP8, Precision.BF16)
        for wider in order[order.index(precision) :]:
            if wider in self.peak_flop_per_s:
                return self.peak_flop_per_s[wider]
        raise InputError(f"{self.name} has no dense peak for {precision.value} or wider")

    def link_bytes_per_s(self, way_count: int) -> float:
        """Bytes/s, one direction, of the slowest link in a group of so many accelerators."""
        if way_count <= self.scale_up_count and self.scale_up_bytes_per_s > 0:
            return self.scale_up_bytes_per_s
        return self.scale_out_bytes_per_s


def silicon_of(chip: Accelerator, scale_out_bytes_per_s: float = SCALE_OUT_BYTES_PER_S) -> Silicon:
    """The limits of a catalogue row.

    Raises:
        InputError: the row has no dense peak, or the scale-out rate is not above 0.
    """
    check_positive("scale_out_bytes_per_s", scale_out_bytes_per_s)
    rates = {
        Precision.BF16: chip.bf16_dense_tflops,
        Precision.FP8: chip.fp8_dense_tflops,
        Precision.FP4: chip.fp4_dense_tflops,
    }
    peaks = {precision: rate * TERA for precision, rate in rates.items() if rate}
    if not peaks:
        raise InputError(f"accelerator {chip.name!r} has no dense peak in the catalogue")
    return Silicon(
        name=chip.name,
        peak_flop_per_s=peaks,
        memory_bytes=chip.memory_gbyte * GIGA,
        memory_bytes_per_s=chip.memory_gbyte_per_s * GIGA,
        scale_up_bytes_per_s=chip.scaleup_both_ways_gbyte_per_s * GIGA / 2.0,
        scale_up_count=chip.scaleup_accelerator_count,
        scale_out_bytes_per_s=scale_out_bytes_per_s,
        tdp_w=chip.tdp_w,
    )
