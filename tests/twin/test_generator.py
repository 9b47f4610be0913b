"""Goal: generated traces are repeatable, meet the load asked for, and look like the real ones.

Method: digests per seed; KS distances of large generated samples against the profile's own
quantiles; the load to within the last job; the fit of a generated trace gives the profile back;
where GIGAWATT_TRACES points to the real files, KS distances against them, and that the shipped
profile is what the fit computes from them.
"""

import os
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.errors import InputError, UnknownIdError
from gigawatt.twin import fit
from gigawatt.twin.fit import comparison, distances, fit_profile, ks_distance, plot_fit
from gigawatt.twin.generator import generate, generate_count
from gigawatt.twin.profile import LEVELS, TraceProfile, profile_of, profiles
from gigawatt.twin.traces import find_trace, load_of, read_trace

NAMES = ("kalos", "philly")
REAL_FILES = {"kalos": "kalos_completed.csv", "philly": "philly_vc_muri2.csv"}
DAY_S = 86_400.0


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_is_a_trace(name: str) -> None:
    profile = profile_of(name)
    one = generate(profile, 7, 30 * DAY_S, 2048, 0.8)
    assert one.digest == generate(profile, 7, 30 * DAY_S, 2048, 0.8).digest
    assert one.digest != generate(profile, 8, 30 * DAY_S, 2048, 0.8).digest


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.integers(0, 1000),
    st.floats(3_600, 30 * DAY_S),
    st.sampled_from([8, 100, 1024, 10_000]),
    st.floats(0.1, 1.2),
)
def test_the_load_is_met_to_within_the_last_job(
    name: str, seed: int, duration_s: float, gpu_capacity: int, load: float
) -> None:
    trace = generate(profile_of(name), seed, duration_s, gpu_capacity, load)
    wanted = load * gpu_capacity * duration_s
    work = trace.gpu_count * trace.duration_s
    assert wanted * (1 - 1e-9) <= work.sum() <= wanted + work.max()
    assert load_of(trace, gpu_capacity) >= load * (1 - 1e-9)
    assert trace.gpu_count.max() <= gpu_capacity
    assert (np.diff(trace.submit_s) >= 0).all()
    assert 0 <= trace.submit_s[0] <= trace.submit_s[-1] <= trace.span_s == duration_s
    assert trace.duration_s.min() >= 1
    assert len({job.job_id for job in trace.jobs}) == len(trace)


@pytest.mark.parametrize("name", NAMES)
def test_a_large_sample_has_the_profiles_sizes_and_durations(name: str) -> None:
    profile = profile_of(name)
    trace = generate_count(profile, 1, 100 * DAY_S, 40_000)
    for gpus, share in profile.sizes:
        # Repeats make the sample worth fewer draws: about (1 - r) / (1 + r) of them.
        r = profile.size_repeat
        sigma = (share * (1 - share) / 40_000 * (1 + r) / (1 - r)) ** 0.5
        assert abs((trace.gpu_count == gpus).mean() - share) < 5 * sigma + 1e-6
    below = 0
    for row in profile.durations:
        chosen = (trace.gpu_count > below) & (trace.gpu_count <= row.gpu_count_max)
        below = row.gpu_count_max
        logs = np.log10(trace.duration_s[chosen])
        exact = np.interp(np.linspace(0, 1, 5_001), LEVELS, row.duration_log10_s)
        assert ks_distance(logs, np.log10(np.maximum(1, np.round(10**exact)))) < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_the_fit_of_a_generated_trace_gives_the_profile_back(name: str) -> None:
    profile = profile_of(name)
    trace = generate_count(profile, 3, profile.span_s * 4, profile.job_count * 4)
    again = fit_profile(trace, name, "", "")
    assert again.size_repeat == pytest.approx(profile.size_repeat, abs=0.06)
    assert again.gap_memory == pytest.approx(profile.gap_memory, abs=0.1)
    middle = slice(LEVELS.index(0.1), LEVELS.index(0.9) + 1)
    ours = np.array(profile.gap_log10)[middle]
    theirs = np.array(again.gap_log10)[middle]
    assert np.abs(ours - theirs).max() < 0.2
    hours = np.corrcoef(profile.hour_weights, again.hour_weights)[0, 1]
    assert hours > 0.9


def test_a_profile_without_spread_is_generated_as_it_is() -> None:
    flat = replace(profile_of("kalos"), sizes=((4, 1.0),), hour_weights=(1.0,) * 24, gap_memory=0.0)
    trace = generate_count(flat, 1, 1_000.0, 1)
    assert [job.gpu_count for job in trace.jobs] == [4]


@pytest.mark.parametrize(
    "arguments",
    [(0, 8, 0.5), (-1, 8, 0.5), (float("inf"), 8, 0.5), (60, 0, 0.5), (60, 8, 0), (60, 8, -1),
     (60, 8, float("nan")), (1e12, 10**7, 1.0)],
)  # fmt: skip
def test_nonsense_is_refused(arguments: tuple[float, int, float]) -> None:
    with pytest.raises(InputError):
        generate(profile_of("philly"), 1, *arguments)


def test_a_count_out_of_range_and_a_strange_name_are_refused() -> None:
    with pytest.raises(InputError, match="job_count"):
        generate_count(profile_of("philly"), 1, 60.0, 0)
    with pytest.raises(UnknownIdError, match="helios"):
        profile_of("helios")


def test_shipped_profiles_name_their_source_and_are_sound() -> None:
    assert set(profiles()) == set(NAMES)
    for profile in profiles().values():
        assert profile.source
        assert profile.licence
        assert sum(share for _, share in profile.sizes) == pytest.approx(1, abs=1e-4)
        assert sum(profile.hour_weights) == pytest.approx(24, abs=1e-2)
        rows = [profile.gap_log10, *(row.duration_log10_s for row in profile.durations)]
        assert all(len(row) == len(LEVELS) and list(row) == sorted(row) for row in rows)


def test_ks_distance_of_known_samples() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert ks_distance(a, a) == 0
    assert ks_distance(a, a + 10) == 1
    assert ks_distance(a, np.array([3.0, 4.0, 5.0, 6.0])) == 0.5


def test_the_command_prints_a_profile_that_can_be_read_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = generate_count(profile_of("philly"), 5, 20 * DAY_S, 400)
    path, picture = tmp_path / "made.csv", tmp_path / "fit.png"
    rows = (f"{j.job_id},{j.submit_s!r},{j.duration_s!r},1,{j.gpu_count}\n" for j in made.jobs)
    path.write_text("job_id,submit_s,duration_s,nodes,gpus\n" + "".join(rows))
    said = fit.main([str(path), "--name", 'odd "name"', "--plot", str(picture)])
    assert said == 0
    out = capsys.readouterr().out
    table = tomllib.loads(out[: out.index("\n\n")])
    assert list(table) == ['odd "name"']
    assert table['odd "name"']["job_count"] == 400
    assert "| duration, real (s) |" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit.main([str(tmp_path / "gone.csv")]) == 2
    assert "gone.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        # 319 jobs in runs of one size: sampling alone gives about 0.08 in sizes.
        ("kalos", {"size": 0.13, "duration": 0.08, "gap": 0.09, "hour of day": 0.11}),
        ("philly", {"size": 0.02, "duration": 0.025, "gap": 0.03, "hour of day": 0.06}),
    ],
)
def test_generated_traces_look_like_the_real_one(
    tmp_path: Path, name: str, limits: dict[str, float]
) -> None:
    path = find_trace(REAL_FILES[name], [Path(os.environ.get("GIGAWATT_TRACES", "/nonexistent"))])
    if path is None:
        pytest.skip(f"{REAL_FILES[name]} is not in GIGAWATT_TRACES")
    real, profile = read_trace(path), profile_of(name)
    computed: TraceProfile = fit_profile(real, name, profile.source, profile.licence)
    assert computed == profile
    made = [generate_count(profile, seed, real.span_s, len(real)) for seed in range(1, 11)]
    measured = [distances(real, trace) for trace in made]
    for what, limit in limits.items():
        assert sum(row[what] for row in measured) / len(measured) < limit, what
    assert "KS distance" in comparison(real, made)
    plot_fit(real, made[0], tmp_path / "fit.png")
