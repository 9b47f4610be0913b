"""Utilisation from the store.

Goal: what is read from operations, usage records and the trail is what happened.
Method: a replay of the real control plane with many failures; the twin's own books of held GPUs,
and the sums of the usage book, must say the same as the report.
"""

import pytest

from gigawatt.app.market.utilisation import (
    UtilisationReport,
    UtilisationSources,
    asked_in,
    worth_of,
)
from gigawatt.app.market.utilisation_desk import KEPT_S, UtilisationDesk
from gigawatt.economics.gpu_hour.inputs import CostInputs
from gigawatt.errors import InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import TenantId
from gigawatt.interfaces.turned_away import TurnedAway
from gigawatt.interfaces.usage import UsageQuery
from gigawatt.market.utilisation import GpuState
from gigawatt.store.fleet_history import open_fleet_history
from gigawatt.store.reservations import SqlReservations
from gigawatt.store.turned_away import open_turned_away_book
from gigawatt.store.usage_records import SqlUsageBook
from gigawatt.store.waiting import open_waiting_room
from gigawatt.twin import replay as twin
from gigawatt.twin.desk import Desk
from gigawatt.twin.events import EventLog
from gigawatt.twin.failures import FailureRates
from gigawatt.twin.scene import START_S, Scene, open_scene
from gigawatt.twin.settings import TwinSettings
from gigawatt.twin.traces import Job, make_trace
from gigawatt.twin.virtual_time import run_virtual
from gigawatt.twin.workload import Workload
from gigawatt.units import HOUR_S

GPUS = 256
START_MS = round(START_S * 1000)
SPAN_S = 8 * HOUR_S
JOBS = [
    Job(f"j{n}", at_h * HOUR_S, hours * HOUR_S, gpus)
    for n, (at_h, hours, gpus) in enumerate(
        [(0, 3, 64), (0, 6, 32), (0.5, 2, 4), (1, 4, 128), (2, 1, 1), (4, 2, 64), (5, 5, 16)]
    )
]


def played(scene: Scene, rates: FailureRates) -> Desk:
    workload = Workload(make_trace("hand-made", JOBS, SPAN_S), "hand-made", 0, 0.0)
    settings = TwinSettings(rates=rates, spare_from_gpu_count=1_000_000, storage_bytes=0)
    return run_virtual(scene.loop, twin._run(scene, workload, settings, EventLog()))


def sources_of(scene: Scene) -> UtilisationSources:
    store = scene.control.around.store
    return UtilisationSources(
        fleet=scene.fleet,
        room=open_waiting_room(store),
        book=open_turned_away_book(store),
        usage=SqlUsageBook(store.database),
        history=open_fleet_history(store),
        reservations=SqlReservations(store.database),
    )


def report_of(sources: UtilisationSources, to_s: float, by: str = "all") -> UtilisationReport:
    window = START_MS, START_MS + round(to_s * 1000)
    return UtilisationDesk().report(sources, window, by, 0.0)


def test_what_was_worked_out_serves_for_a_moment_and_for_its_own_window_alone():
    with open_scene(hgx_fleet(GPUS), FailureRates().times(0.0), 7) as scene:
        played(scene, FailureRates().times(0.0))
        sources, desk = sources_of(scene), UtilisationDesk()
        window = START_MS, START_MS + round(SPAN_S * 1000)
        fresh = {by: report_of(sources, SPAN_S, by) for by in ("all", "hour", "type", "term")}
        assert {by: desk.report(sources, window, by, 5.0) for by in fresh} == fresh
        wanted = TurnedAway(
            0, "k", START_S, TenantId("ten_a"), "capacity", "create", "refused", "h100", GPUS, "",
            None, None, None, 0.0, (), "f",
        )  # fmt: skip
        sources.book.record(wanted)
        assert desk.report(sources, window, "all", 5.0 + KEPT_S / 2) == fresh["all"]
        shorter = window[0], window[1] - 1
        assert desk.report(sources, shorter, "all", 6.0).asked_in_vain
        assert desk.report(sources, window, "all", 6.0).asked_in_vain, "one window is kept"
        assert desk.report(sources, window, "all", 6.0 + KEPT_S).asked_in_vain


@pytest.mark.parametrize("factor", [0.0, 40.0])
def test_the_report_is_what_the_twin_and_the_meter_say(factor):
    with open_scene(hgx_fleet(GPUS), FailureRates().times(factor), 7) as scene:
        desk = played(scene, FailureRates().times(factor))
        sources = sources_of(scene)
        end_s = scene.loop.time()
        (row,) = report_of(sources, end_s).rows
        assert sum(row.gpu_ms.values()) == row.capacity_gpu_ms == GPUS * round(end_s * 1000)
        usage = SqlUsageBook(scene.control.around.store.database)
        query = UsageQuery(START_MS, START_MS + round(end_s * 1000))
        records = list(usage.usages(query))
        assert row.gpu_ms[GpuState.BILLED] == sum(record.gpu_ms for record in records) > 0
        assert row.rated == sum(record.rated for record in records)
        held_ms = sum(
            row.gpu_ms[state] for state in (GpuState.BILLED, GpuState.HELD, GpuState.CLEANING)
        )
        if not factor:
            assert row.gpu_ms[GpuState.BROKEN] == 0
            assert held_ms / 1000 == pytest.approx(desk.ledger.held_gpu_s, rel=1e-4)
        else:
            assert row.gpu_ms[GpuState.BROKEN] > 0
            assert held_ms / 1000 == pytest.approx(desk.ledger.held_gpu_s, rel=0.1)
        parts = [report_of(sources, at_s) for at_s in (end_s / 3, end_s)]
        assert parts[0].rows[0].rated <= parts[1].rows[0].rated
        hours = report_of(sources, end_s, "hour").rows
        assert sum(part.rated for part in hours) == row.rated
        assert sum(part.gpu_ms[GpuState.HELD] for part in hours) == row.gpu_ms[GpuState.HELD]


def test_free_gpus_that_nobody_who_asked_could_have_are_stranded():
    with open_scene(hgx_fleet(GPUS), FailureRates().times(0.0), 7) as scene:
        desk = played(scene, FailureRates().times(0.0))
        assert desk.live == []
        sources = sources_of(scene)
        before = report_of(sources, SPAN_S).rows[0]
        assert before.gpu_ms[GpuState.STRANDED] == 0
        # All of the fleet was wanted in the first hour, while others held some of it.
        away = TurnedAway(
            sequence=0,
            source_key="k",
            at_s=START_S + 1800.0,
            project_id=TenantId("ten"),
            cause="capacity",
            origin="create",
            outcome="refused",
            gpu_type="h100",
            gpu_count=GPUS,
            shape="",
            price_micro_usd_per_gpu_hour_max=None,
            list_price_micro_usd_per_hour=None,
            duration_s=None,
            waited_s=0.0,
            reasons=(),
            fingerprint="f",
        )
        sources.book.record(away)
        report = report_of(sources, SPAN_S)
        row = report.rows[0]
        assert report.asked_in_vain == {("h100", GPUS): (1, GPUS)}
        assert row.gpu_ms[GpuState.STRANDED] > 0
        assert (
            row.gpu_ms[GpuState.STRANDED] + row.gpu_ms[GpuState.IDLE]
            == before.gpu_ms[GpuState.IDLE]
        )
        assert report.in_part_gpu_ms + report.too_few_gpu_ms == row.gpu_ms[GpuState.STRANDED]
        assert report.in_part_gpu_ms > 0
        (asked,) = asked_in(sources, START_MS, START_MS + round(SPAN_S * 1000))
        assert asked.to_ms - asked.from_ms == 3_600_000


def test_windows_that_cannot_be_are_refused():
    with open_scene(hgx_fleet(GPUS), FailureRates(), 7) as scene:
        sources = sources_of(scene)
        for to_s in (0.0, -1.0, 500 * 24 * HOUR_S):
            with pytest.raises(InputError, match="window"):
                report_of(sources, to_s)
        with pytest.raises(InputError, match="by hour"):
            report_of(sources, 100 * 24 * HOUR_S, "hour")


def test_worth_is_the_cost_of_the_economics():
    inputs = CostInputs()
    worth = worth_of(2_500_000, inputs)
    # Energy of the load alone: 0.75 of 1.275 kW, at 6 cents and a PUE of 1.25.
    assert worth.running_micro_usd_per_gpu_hour == pytest.approx(71_719, abs=1)
    assert worth.fixed_micro_usd_per_gpu_hour > worth.running_micro_usd_per_gpu_hour
