"""Job traces: what was asked of a cluster and when, read from files and transformed.

A trace file is a CSV with the columns ``job_id, submit_s, duration_s, nodes, gpus``. Traces are
values: every transformation gives a new one. No trace ships with the project; docs/traces.md says
where real ones can be had.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.model import F64, I64
from gigawatt.units import DAY_S

COLUMNS = ("job_id", "submit_s", "duration_s", "nodes", "gpus")
JOB_COUNT_MAX = 2_000_000
"""Bound of one trace: about 400 MB of memory."""
FIELD_LENGTH_MAX = 256


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Fields: submit_s is when it is submitted, in s after the trace began (>= 0); duration_s how
    long it runs once it has its GPUs (>= 0); gpu_count how many it needs (>= 1).
    """

    job_id: str
    submit_s: float
    duration_s: float
    gpu_count: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Jobs in order of submission over ``span_s`` seconds (> 0), none submitted after it.

    Fields: name says where it came from.
    """

    name: str
    jobs: tuple[Job, ...]
    span_s: float

    def __len__(self) -> int:
        """Count of jobs."""
        return len(self.jobs)

    @property
    def submit_s(self) -> F64:
        """float64[J]: when each job is submitted, ascending."""
        return np.array([job.submit_s for job in self.jobs], dtype=np.float64)

    @property
    def duration_s(self) -> F64:
        """float64[J]: how long each job runs."""
        return np.array([job.duration_s for job in self.jobs], dtype=np.float64)

    @property
    def gpu_count(self) -> I64:
        """int64[J]: GPUs of each job."""
        return np.array([job.gpu_count for job in self.jobs], dtype=np.int64)

    @property
    def digest(self) -> str:
        """Hash of all jobs and the span: equal traces have equal digests."""
        state = blake2b(repr(self.span_s).encode(), digest_size=16)
        for job in self.jobs:
            state.update(repr(job).encode("utf-8", "surrogatepass"))
        return state.hexdigest()


def make_trace(name: str, jobs: Iterable[Job], span_s: float) -> Trace:
    """A trace of ``jobs`` in any order.

    Raises:
        InputError: there is no job, or one is submitted after the span.
    """
    ordered = tuple(sorted(jobs, key=lambda job: job.submit_s))
    if not ordered:
        raise InputError(f"trace {name!r} has no job")
    if not (span_s > 0 and ordered[-1].submit_s <= span_s < math.inf):
        raise InputError(
            f"trace {name!r} has a span of {span_s} s and a job at {ordered[-1].submit_s} s"
        )
    return Trace(name, ordered, float(span_s))


def _number(text: str, column: str, where: str, minimum: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not minimum <= value < math.inf:
        raise InputError(f"{where}: {column} is {text[:40]!r}, wanted a number >= {minimum:g}")
    return value


def _count(text: str, column: str, where: str) -> int:
    value = _number(text, column, where, 1)
    if value != int(value) or value > 10_000_000:
        raise InputError(f"{where}: {column} is {text[:40]!r}, wanted a whole number up to 10^7")
    return int(value)


def _parse(rows: Iterator[list[str]], path: Path) -> Iterator[Job]:
    header = next(rows, [])
    if header != list(COLUMNS):
        raise InputError(f"{path}:1: header is {header[:8]}, wanted {','.join(COLUMNS)}")
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        where = f"{path}:{number}"
        if len(row) != len(COLUMNS):
            raise InputError(f"{where}: {len(row)} fields, wanted {len(COLUMNS)}")
        if not 0 < len(row[0]) <= FIELD_LENGTH_MAX or row[0] in seen:
            raise InputError(f"{where}: job_id {row[0][:40]!r} is empty, too long or repeated")
        if len(seen) == JOB_COUNT_MAX:
            raise InputError(f"{where}: more than {JOB_COUNT_MAX:,} jobs")
        seen.add(row[0])
        _count(row[3], "nodes", where)
        yield Job(
            row[0],
            _number(row[1], "submit_s", where, 0),
            _number(row[2], "duration_s", where, 0),
            _count(row[4], "gpus", where),
        )


def read_trace(path: Path) -> Trace:
    """The trace in a CSV file; it spans up to its last submission.

    Raises:
        InputError: the file cannot be read, or a row is wrong; the message names file and line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            jobs = list(_parse(csv.reader(stream, strict=True), path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a trace") from error
    return make_trace(path.stem, jobs, max([1.0, *(job.submit_s for job in jobs)]))


def find_trace(file_name: str, folders: Sequence[Path]) -> Path | None:
    """The first file of this name in ``folders`` or a folder right below one; None if none."""
    candidates = (
        path
        for folder in folders
        if folder.is_dir()
        for path in (folder / file_name, *sorted(folder.glob(f"*/{file_name}")))
    )
    return next((path for path in candidates if path.is_file()), None)


def load_of(trace: Trace, gpu_count: int) -> float:
    """Offered load: GPU-seconds asked for over those that ``gpu_count`` (>= 1) GPUs have."""
    work = math.fsum(job.duration_s * job.gpu_count for job in trace.jobs)
    return work / (trace.span_s * gpu_count)


def compress(trace: Trace, factor: float) -> Trace:
    """Submissions ``factor`` (> 0) times as fast, durations as they were: load times ``factor``.

    Raises:
        InputError: the factor is not above 0.
    """
    if not 0 < factor < math.inf:
        raise InputError(f"trace {trace.name!r}: factor is {factor}, wanted > 0")
    jobs = (
        Job(job.job_id, job.submit_s / factor, job.duration_s, job.gpu_count) for job in trace.jobs
    )
    return make_trace(trace.name, jobs, trace.span_s / factor)


def scale(trace: Trace, copies: int, seed: int) -> Trace:
    """``copies`` (>= 1) of the trace laid over each other, each shifted round the span by chance.

    Shifts are whole days if the span has several, so that the hours of the day stay aligned. The
    first copy is not shifted. The span is rounded up to whole days in that case.

    Raises:
        InputError: copies is below 1, or the result would have too many jobs.
    """
    if copies < 1 or copies * len(trace) > JOB_COUNT_MAX:
        raise InputError(
            f"trace {trace.name!r}: {copies} copies of {len(trace):,} jobs, wanted 1 copy or more "
            f"and at most {JOB_COUNT_MAX:,} jobs"
        )
    generator = np.random.default_rng(seed)
    days = math.ceil(trace.span_s / DAY_S)
    span_s = float(days * DAY_S) if days > 1 else trace.span_s
    shifts = [0.0]
    for _ in range(copies - 1):
        share = float(generator.random())
        shifts.append(math.floor(share * days) * float(DAY_S) if days > 1 else share * span_s)
    jobs = (
        Job(f"{job.job_id}#{copy}", (job.submit_s + shift) % span_s, job.duration_s, job.gpu_count)
        for copy, shift in enumerate(shifts)
        for job in trace.jobs
    )
    return make_trace(trace.name, jobs, span_s)


def _shape(gpu_count: int) -> int:
    if gpu_count <= 4:
        return (1, 2, 4, 4)[gpu_count - 1]
    return -(-gpu_count // 8) * 8


def round_to_shapes(trace: Trace) -> Trace:
    """Every job rounded up to what nodes of 8 GPUs offer: 1, 2, 4 or a multiple of 8 GPUs."""
    jobs = (
        Job(job.job_id, job.submit_s, job.duration_s, _shape(job.gpu_count)) for job in trace.jobs
    )
    return make_trace(trace.name, jobs, trace.span_s)


def window(trace: Trace, start_s: float, end_s: float) -> Trace:
    """Jobs submitted from ``start_s`` to before ``end_s``, counted from ``start_s``.

    Raises:
        InputError: the window is empty.
    """
    jobs = (
        Job(job.job_id, job.submit_s - start_s, job.duration_s, job.gpu_count)
        for job in trace.jobs
        if start_s <= job.submit_s < end_s
    )
    return make_trace(trace.name, jobs, end_s - start_s)
