"""What we compute for published inference measurements: one function for each form of metric."""

import re
from functools import cache

from gigawatt.economics.chain.serving import (
    Engine,
    ServingEfficiency,
    Traffic,
    fastest_rate,
    first_token_s,
    serving_rate,
)
from gigawatt.economics.chain.silicon import Precision, silicon_of
from gigawatt.economics.models.llm import language_model
from gigawatt.economics.models.tables import shipped_rows
from gigawatt.economics.validation.measurement import Measurement
from gigawatt.errors import InputError, NoCapacityError

LENGTHS = re.compile(r"ISL/?(?:OSL)?\s*(\d+)\s*/\s*(?:OSL)?\s*(\d+)")
USERS = re.compile(r"conc(\d+(?:\.\d+)?)")
COPIES = re.compile(r"\bdp(\d+)")
WAYS = re.compile(r"\b(?:TP|DEP|tp)(\d+)")


def precision_of(row: Measurement) -> Precision:
    """Number format of the row; 16-bit formats are one.

    Raises:
        InputError: not a format we know.
    """
    spelling = row.precision.lower()
    for name, precision in (("4", Precision.FP4), ("16", Precision.BF16), ("8", Precision.FP8)):
        if name in spelling:
            return precision
    raise InputError(f"precision {row.precision!r} is not fp4, fp8 or bf16")


def lengths_of(row: Measurement) -> Traffic:
    """Prompt and answer length that the metric names.

    Raises:
        InputError: it names none.
    """
    found = LENGTHS.search(row.metric)
    if found is None:
        raise InputError(f"metric {row.metric!r} names no lengths")
    return Traffic(float(found[1]), float(found[2]))


def engine_of(row: Measurement) -> Engine:
    """The engine that notes or metric describe: TPn, DEPn, tpn dpm, or all accelerators of the row.

    Raises:
        InputError: language model, accelerator or precision is unknown.
    """
    text = f"{row.notes} {row.metric}"
    found = WAYS.search(text)
    count = int(found[1]) if found else (row.accelerator_count or 1)
    shape = language_model(row.language_model_name)
    copies = COPIES.search(text)
    has_copies = copies is not None and int(copies[1]) > 1
    if copies is not None and has_copies:
        count *= int(copies[1])
    is_spread = ("DEP" in text or has_copies) and bool(shape.expert_count)
    return Engine(shape, silicon_of(row.chip), precision_of(row), count, is_spread)


def full_load_rate(row: Measurement, efficiency: ServingEfficiency) -> float:
    """Output tokens/s at full load: of one GPU where the unit says so, else of all.

    Raises:
        InputError: the row counts all accelerators and does not say how many.
    """
    engine = engine_of(row)
    rate = fastest_rate(engine, efficiency, lengths_of(row))
    per_gpu = rate.output_llm_tokens_per_s / engine.gpu_count
    if "gpu" in row.unit.lower() or "per GPU" in row.metric:
        return per_gpu
    if row.accelerator_count is None:
        raise InputError("the number of accelerators is not published")
    return per_gpu * row.accelerator_count


def _users(row: Measurement) -> float:
    found = USERS.search(row.metric)
    if found is None:
        raise InputError(f"metric {row.metric!r} names no number of users")
    return float(found[1])


def token_time_ms(row: Measurement, efficiency: ServingEfficiency) -> float:
    """Milliseconds between two tokens of one answer."""
    rate = serving_rate(engine_of(row), efficiency, lengths_of(row), _users(row))
    return rate.llm_token_s * 1e3


def first_token_ms(row: Measurement, efficiency: ServingEfficiency) -> float:
    """Milliseconds to the first token."""
    return first_token_s(engine_of(row), efficiency, lengths_of(row), _users(row)) * 1e3


@cache
def _workload(language_model_name: str, scenario: str) -> tuple[Traffic, float | None]:
    for line in shipped_rows("workloads.csv"):
        if line.text("alias") in language_model_name and line.text("scenario") == scenario:
            limit = line.text("llm_token_ms_max")
            traffic = Traffic(line.number("input_llm_tokens"), line.number("output_llm_tokens"))
            return traffic, line.number("llm_token_ms_max") / 1e3 if limit else None
    raise InputError(f"no workload for {language_model_name!r}, scenario {scenario!r}")


def best_system_rate(
    row: Measurement, traffic: Traffic, limit_s: float | None, efficiency: ServingEfficiency
) -> float:
    """Output tokens/s of the whole system with the engine that serves most.

    Raises:
        InputError: the number of accelerators is not published.
        NoCapacityError: no engine fits or none is fast enough.
    """
    if row.accelerator_count is None:
        raise InputError("the number of accelerators is not published")
    shape, silicon = language_model(row.language_model_name), silicon_of(row.chip)
    best = 0.0
    for ways in (1, 2, 4, 8):
        for is_spread in (False, True) if shape.expert_count and ways > 1 else (False,):
            if row.accelerator_count % ways:
                continue
            engine = Engine(shape, silicon, precision_of(row), ways, is_spread)
            try:
                rate = fastest_rate(engine, efficiency, traffic, limit_s)
            except NoCapacityError:
                continue
            copies = row.accelerator_count / ways
            best = max(best, rate.output_llm_tokens_per_s * copies)
    if best == 0.0:
        raise NoCapacityError(f"{shape.name} fits no engine of {row.system!r} within the limits")
    return best


def mlperf_rate(row: Measurement, efficiency: ServingEfficiency) -> float:
    """Output tokens/s of an MLPerf system in the row's scenario."""
    traffic, limit_s = _workload(row.language_model_name, row.metric.split()[-1])
    return best_system_rate(row, traffic, limit_s, efficiency)
