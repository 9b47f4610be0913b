"""Profiles: the statistics of real traces that the generator draws from, kept as data.

``data/trace_profiles.toml`` holds them; ``python -m gigawatt.twin.fit`` computes them.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from gigawatt.errors import UnknownIdError

LEVELS = (
    0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5,
    0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0,
)  # fmt: skip
"""Levels at which quantiles are kept; between them the logarithm is interpolated."""


@dataclass(frozen=True, slots=True)
class DurationClass:
    """Durations of jobs of up to ``gpu_count_max`` GPUs: log10 of seconds at ``LEVELS``."""

    gpu_count_max: int
    duration_log10_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TraceProfile:
    """Statistics of one real trace.

    Fields:
        name, source, licence: of the trace.
        job_count, span_s: how much was seen.
        sizes: (GPUs, share of jobs), ascending; shares sum to 1.
        size_repeat: probability that a job takes the size of the one before rather than a new
            draw, 0 to 1.
        durations: by size, ascending.
        hour_weights: 24 relative rates of submission by hour since the trace began (mod 24), of
            mean 1.
        gap_log10: log10 of 1 + seconds between submissions at ``LEVELS``, with the rhythm of the
            day taken out.
        gap_memory: correlation of one such logarithm with the next, 0 to below 1.
    """

    name: str
    source: str
    licence: str
    job_count: int
    span_s: float
    sizes: tuple[tuple[int, float], ...]
    size_repeat: float
    durations: tuple[DurationClass, ...]
    hour_weights: tuple[float, ...]
    gap_log10: tuple[float, ...]
    gap_memory: float


@cache
def profiles() -> dict[str, TraceProfile]:
    """Profiles that are shipped, by name."""
    text = resources.files("gigawatt.twin").joinpath("data/trace_profiles.toml").read_text("utf-8")
    return {
        name: TraceProfile(
            name=name,
            source=str(row["source"]),
            licence=str(row["licence"]),
            job_count=int(row["job_count"]),
            span_s=float(row["span_s"]),
            sizes=tuple((int(gpus), float(share)) for gpus, share in row["sizes"]),
            size_repeat=float(row["size_repeat"]),
            durations=tuple(
                DurationClass(int(gpus), tuple(map(float, logs))) for gpus, logs in row["durations"]
            ),
            hour_weights=tuple(map(float, row["hour_weights"])),
            gap_log10=tuple(map(float, row["gap_log10"])),
            gap_memory=float(row["gap_memory"]),
        )
        for name, row in tomllib.loads(text).items()
    }


def profile_of(name: str) -> TraceProfile:
    """One shipped profile.

    Raises:
        UnknownIdError: there is none of this name.
    """
    try:
        return profiles()[name]
    except KeyError:
        known = ", ".join(sorted(profiles()))
        raise UnknownIdError(
            f"no trace profile {name!r}", next_step=f"Take one of {known}."
        ) from None
