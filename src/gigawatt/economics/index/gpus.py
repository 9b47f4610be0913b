"""Which GPU an offer means: its memory against what its maker builds."""

import re
from functools import cache

from gigawatt.economics.index.quote import Gpu
from gigawatt.fleet.catalogue import accelerators

MEMORY_TOLERANCE_RATIO = 0.1
"""Sources give GB, GiB or usable memory (141, 140 or 143 for one H200); 40 and 80 stay apart."""

_MORE_VARIANTS = (
    Gpu("V100", "SXM", 16), Gpu("V100", "PCIe", 16), Gpu("V100", "PCIe", 32),
    Gpu("A100", "PCIe", 40), Gpu("A100", "PCIe", 80), Gpu("H100", "NVL", 94), Gpu("GH200", "", 144),
)  # fmt: skip
"""Variants the catalogue has no row for. Source: NVIDIA datasheets of these."""


@cache
def _variants() -> tuple[Gpu, ...]:
    rows = (gpu_of_text(row.name, round(row.memory_gbyte)) for row in accelerators())
    return (*rows, *_MORE_VARIANTS)


def memory_variants_gbyte(name: str, form_factor: str) -> tuple[int, ...]:
    """Memory sizes a GPU is built with, in GB; of any form factor if this one is unknown.

    Example:
        >>> memory_variants_gbyte("A100", "SXM")
        (40, 80)
    """
    named = [gpu for gpu in _variants() if gpu.name == name]
    exact = [gpu for gpu in named if gpu.form_factor == form_factor]
    return tuple(sorted({gpu.memory_gbyte for gpu in exact or named}))


@cache
def canonical_gpu(gpu: Gpu) -> Gpu | str:
    """The GPU with its maker's memory size, or the reason why it stays unclear.

    A name that nobody knows passes unchanged; it is its own product.
    """
    known = memory_variants_gbyte(gpu.name, gpu.form_factor)
    if not known:
        return gpu
    sizes = " or ".join(map(str, known))
    if gpu.memory_gbyte == 0:
        if len(known) == 1:
            return Gpu(gpu.name, gpu.form_factor, known[0])
        return f"memory is not stated, and {gpu.name} is built with {sizes} GB"
    nearest = min(known, key=lambda size: abs(size - gpu.memory_gbyte))
    if abs(nearest - gpu.memory_gbyte) > MEMORY_TOLERANCE_RATIO * nearest:
        return f"memory is {gpu.memory_gbyte} GB, and {gpu.name} is built with {sizes} GB"
    return Gpu(gpu.name, gpu.form_factor, nearest)


def gpu_of_text(text: str, memory_gbyte: int = 0) -> Gpu:
    """A GPU from a name such as ``A100_SXM_80GB``, ``H100-80GB`` or ``H100 PCIe``.

    Args:
        text: name as catalogues write it.
        memory_gbyte: memory that the source states beside the name, 0 if it does not.

    Example:
        >>> gpu_of_text("A100_SXM_80GB").label
        'A100-SXM-80GB'
    """
    name, form, memory = text.strip(), "", memory_gbyte
    parts = [part for part in re.split(r"[\s_\-]+", text.strip()) if part]
    rest = []
    for part in parts:
        if match := re.fullmatch(r"(\d{1,4})GB", part, re.I):
            memory = memory or int(match[1])
        elif match := re.fullmatch(r"(SXM|PCIE|NVL|HGX)\d*", part, re.I):
            form = "PCIe" if match[1].upper() == "PCIE" else match[1].upper()
        elif part.upper() != "NVIDIA":
            rest.append(part)
    name = "-".join(rest) or name
    return Gpu(name, form, memory)
