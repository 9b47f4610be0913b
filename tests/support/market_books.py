"""A store with its books of usage and money, driven by hand: what tests of months share."""

from dataclasses import replace
from fractions import Fraction

from gigawatt.app.clock import ManualClock
from gigawatt.app.market.billing import Billing
from gigawatt.app.market.budgets import Budgets
from gigawatt.identity.accounts import Organisation, OrganisationId, Project
from gigawatt.ids import FabricId, OperationId, SiteId, TenantId
from gigawatt.interfaces.reservations import CancellationTerms, ReservationRecord
from gigawatt.market.calendar import Reservation
from gigawatt.market.month import start_ms
from gigawatt.planner.plan import OperationKind
from gigawatt.store.billing import open_billing
from gigawatt.store.budgets import SqlBudgets
from gigawatt.store.directory import open_directory
from gigawatt.store.reservations import SqlReservations
from gigawatt.store.usage_records import SqlUsageBook

ORG, TENANT = OrganisationId("org_x"), TenantId("ten_x")
PRICE = 2_345_678
HOUR_S = 3_600
DEC_MS = start_ms("2026-12")
NOV, DEC, JAN = (start_ms(month) / 1000 for month in ("2026-11", "2026-12", "2027-01"))


class Clock(ManualClock):
    """A clock that goes when it is told to."""

    def advance(self, duration_s):
        self.at_s += duration_s


class Books:
    """A store with one project, its usage and its money, and a clock that is set by hand."""

    def __init__(self, store, build):
        self.store, self.build, self.clock = store, build, Clock(NOV)
        self.usage = SqlUsageBook(store.database)
        self.book = open_billing(store)
        self.directory = open_directory(store)
        self.directory.add_organisation(Organisation(ORG, "Xeno", NOV))
        self.directory.add_project(Project(TENANT, ORG, "train", 10_000, NOV))
        self.reservations = SqlReservations(store.database)
        self.billing = Billing(
            self.book, self.usage, self.reservations, self.directory, self.clock.now_s
        )
        self.budgets = Budgets(
            SqlBudgets(store.database), self.billing, self.directory, self.clock.now_s
        )

    def plan(self, kind, before, after, at_s):
        generation = self.store.snapshot(at_s).generation
        plan = self.build.plan(kind, before, after, generation, expires_s=1e11)
        gpus = sum(m.gpu_mask.bit_count() for m in after.members) if after else 0
        return replace(plan, report=replace(plan.report, price_micro_usd_per_hour=gpus * PRICE))

    def done(self, kind, before, after, at_s):
        plan = self.plan(kind, before, after, at_s)
        name = OperationId(f"op_{plan.parent_generation}")
        self.store.finish(self.store.commit(plan, name, at_s), "done", {}, at_s)

    def launch(self, name, nodes, at_s, number=1):
        bare = self.build.target(name, nodes, number=number)
        members = [replace(m, price_micro_usd_per_gpu_hour=PRICE) for m in bare.members]
        target = replace(bare, members=tuple(members))
        self.done(OperationKind.LAUNCH, None, target, at_s)
        return target

    def release(self, target, at_s):
        self.done(OperationKind.RELEASE, target, None, at_s)

    def close(self, month, at_s):
        self.clock.advance(max(0.0, at_s - self.clock.now_s()))
        return self.billing.close(month)

    def lines(self, month):
        found = self.book.invoices([ORG], month, "", 9)
        return [line for invoice in found for line in invoice.lines]


def worth(gpu_count, seconds):
    return int(Fraction(gpu_count) * Fraction(seconds) * PRICE / HOUR_S + Fraction(1, 2))


def promise(name, from_s, to_s, node, free_until_s):
    """A reservation of 8 GPUs at 1 USD an hour, 5 USD to give up late."""
    return ReservationRecord(
        sequence=0,
        promise=Reservation(name, TENANT, frozenset({node}), frozenset(), from_s, to_s),
        account_id=None,
        name=name,
        state="planned",
        gpu_type="h100",
        site_id=SiteId("site-a"),
        fabric_id=FabricId("ib0"),
        gpu_count=8,
        growth_gpu_count=0,
        leaf_group_count=1,
        price_micro_usd_per_gpu_hour=1_000_000,
        month_count=1,
        cancellation=CancellationTerms(free_until_s, 5_000_000),
        clear_until_s=to_s,
        planned_s=NOV,
        expires_s=NOV + 600,
    )
