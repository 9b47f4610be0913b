"""Goal: a trace file is read exactly or refused with file and line; transformations do as named.

Method: written files are read back; one corruption per rule; hypothesis checks the laws of the
transformations (load, count, span, order). A real trace is read where GIGAWATT_TRACES points.
"""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import InputError
from gigawatt.twin import traces as room
from gigawatt.twin.traces import (
    Job,
    Trace,
    compress,
    find_trace,
    load_of,
    make_trace,
    read_trace,
    round_to_shapes,
    scale,
    window,
)

HEADER = "job_id,submit_s,duration_s,nodes,gpus\n"
REAL = Path(os.environ.get("GIGAWATT_TRACES", "/nonexistent"))


def write(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


@st.composite
def some_traces(draw: st.DrawFn) -> Trace:
    jobs = [
        Job(f"j{i}", draw(st.floats(0, 500_000)), draw(st.floats(0, 1e6)), draw(st.integers(1, 99)))
        for i in range(draw(st.integers(1, 12)))
    ]
    return make_trace("some", jobs, draw(st.floats(500_000, 900_000)))


def test_a_file_is_read_in_order_of_submission(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path, HEADER + "b,20.5,3,2,16\na,1e1,0,1,1\n"))
    assert trace.jobs == (Job("a", 10.0, 0.0, 1), Job("b", 20.5, 3.0, 16))
    assert (trace.name, trace.span_s, len(trace)) == ("t", 20.5, 2)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "header"),
        ("a,b\n", 1, "header"),
        (HEADER + "a,0,1,1\n", 2, "fields"),
        (HEADER + "a,0,1,1,1,9\n", 2, "fields"),
        (HEADER + "\n", 2, "fields"),
        (HEADER + ",0,1,1,1\n", 2, "job_id"),
        (HEADER + "a,0,1,1,1\na,1,1,1,1\n", 3, "job_id"),
        (HEADER + f"{'a' * 300},0,1,1,1\n", 2, "job_id"),
        (HEADER + "a,-1,1,1,1\n", 2, "submit_s"),
        (HEADER + "a,nan,1,1,1\n", 2, "submit_s"),
        (HEADER + "a,0,inf,1,1\n", 2, "duration_s"),
        (HEADER + "a,0,x,1,1\n", 2, "duration_s"),
        (HEADER + "a,0,1,0,1\n", 2, "nodes"),
        (HEADER + "a,0,1,1,0\n", 2, "gpus"),
        (HEADER + "a,0,1,1,0.5\n", 2, "gpus"),
        (HEADER + "a,0,1,1,1.5\n", 2, "gpus"),
        (HEADER + "a,0,1,1,1e9\n", 2, "gpus"),
    ],
)
def test_a_wrong_row_is_named_with_file_and_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=f"t.csv:{line}: .*{says}"):
        read_trace(path)


def test_a_file_without_rows_or_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no job"):
        read_trace(write(tmp_path, HEADER))
    with pytest.raises(InputError, match=r"gone\.csv"):
        read_trace(tmp_path / "gone.csv")
    path = tmp_path / "bytes.csv"
    path.write_bytes(HEADER.encode() + b"\xff,0,1,1,1\n")
    with pytest.raises(InputError, match=r"bytes\.csv"):
        read_trace(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(write(tmp_path, HEADER + '"a,0,1,1,1\n'))


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "JOB_COUNT_MAX", 2)
    path = write(tmp_path, HEADER + "".join(f"{i},0,1,1,1\n" for i in range(3)))
    with pytest.raises(InputError, match=r"t\.csv:4: more than 2"):
        read_trace(path)


def test_find_trace_looks_in_order_and_one_level_down(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second" / "cluster"
    second.mkdir(parents=True)
    (second / "t.csv").write_text(HEADER)
    assert find_trace("t.csv", [first, tmp_path / "second"]) == second / "t.csv"
    first.mkdir()
    (first / "t.csv").write_text(HEADER)
    assert find_trace("t.csv", [first, tmp_path / "second"]) == first / "t.csv"
    assert find_trace("other.csv", [first, tmp_path]) is None


@given(some_traces(), st.floats(0.1, 50))
def test_compress_multiplies_the_load(trace: Trace, factor: float) -> None:
    faster = compress(trace, factor)
    assert load_of(faster, 100) == pytest.approx(load_of(trace, 100) * factor)
    assert len(faster) == len(trace)


@given(some_traces(), st.integers(1, 6), st.integers(0, 9))
def test_scale_lays_copies_over_each_other(trace: Trace, copies: int, seed: int) -> None:
    many = scale(trace, copies, seed)
    assert len(many) == copies * len(trace)
    assert len({job.job_id for job in many.jobs}) == len(many)
    assert trace.span_s <= many.span_s < trace.span_s + 86_400
    work = load_of(trace, 1) * trace.span_s
    assert load_of(many, 1) * many.span_s == pytest.approx(copies * work)
    assert many == scale(trace, copies, seed)
    day = {job.job_id: job.submit_s % 86_400 for job in trace.jobs}
    for job in many.jobs:
        away = abs(job.submit_s % 86_400 - day[job.job_id.partition("#")[0]])
        assert min(away, 86_400 - away) < 1e-3


def test_scale_shifts_a_short_trace_within_its_span() -> None:
    trace = make_trace("short", [Job("a", 10, 5, 1)], 600)
    many = scale(trace, 50, 3)
    assert many.span_s == 600
    assert len({job.submit_s for job in many.jobs}) == 50


@pytest.mark.parametrize(
    ("asked", "given"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8), (9, 16), (1016, 1016)]
)
def test_round_to_shapes(asked: int, given: int) -> None:
    trace = make_trace("one", [Job("a", 0, 5, asked)], 10)
    assert round_to_shapes(trace).jobs[0].gpu_count == given


def test_window_counts_from_its_start() -> None:
    trace = make_trace("t", [Job(str(t), t, 1, 1) for t in (0, 10, 20, 30)], 40)
    part = window(trace, 10, 30)
    assert [(job.job_id, job.submit_s) for job in part.jobs] == [("10", 0), ("20", 10)]
    assert part.span_s == 20
    with pytest.raises(InputError, match="no job"):
        window(trace, 31, 39)


@pytest.mark.parametrize("act", [lambda t: compress(t, 0), lambda t: scale(t, 0, 1),
                                 lambda t: scale(t, 2_000_001, 1),
                                 lambda t: make_trace("t", t.jobs, 5)])  # fmt: skip
def test_nonsense_is_refused(act: object) -> None:
    trace = make_trace("t", [Job("a", 10, 1, 1)], 20)
    with pytest.raises(InputError):
        act(trace)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "jobs", "gpu_hours"),
    [("kalos_completed", 319, 456_843), ("philly_vc_muri2", 5755, 824_082),
     ("openb_gpu_pods", 7064, 59_781)],
)  # fmt: skip
def test_a_real_trace_is_read_whole(name: str, jobs: int, gpu_hours: int) -> None:
    path = find_trace(f"{name}.csv", [REAL])
    if path is None:
        pytest.skip(f"{name}.csv is not in GIGAWATT_TRACES")
    trace = read_trace(path)
    assert len(trace) == jobs
    assert load_of(trace, 1) * trace.span_s / 3600 == pytest.approx(gpu_hours, abs=1)
