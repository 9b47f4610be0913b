"""Cleaning between two tenants.

Goal: a node is given on only if every step passed, and what was done is on record whatever
happened: a step that fails, hangs, raises what nobody thought of, or is broken off.
Method: steps made for each test over a memory of receipts; hooks are real commands.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from gigawatt.app.clock import SystemClock
from gigawatt.drivers.cleaning import HookSettings, Slice, Step, StepFailedError, clean, hook_step
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, NodeId

SUBJECT = Slice(NodeId("n7"), 0xFF, ClusterId("clu_a"))


class Kept:
    """Receipts in memory."""

    def __init__(self):
        self.all = []

    def keep(self, receipt):
        self.all.append(receipt)

    def of_node(self, node_id, limit=100):
        return [r for r in reversed(self.all) if r.node_id == node_id][:limit]


def step(name, result="fine", time_s_max=5.0):
    async def act():
        if isinstance(result, Exception):
            raise result
        return result

    return Step(name, time_s_max, act)


def run(steps):
    kept = Kept()

    async def main():
        return await clean(SUBJECT, steps, SystemClock(), kept)

    try:
        asyncio.run(main())
    except DriverPermanentError as error:
        return kept.all, error
    return kept.all, None


def test_all_steps_passed_is_a_receipt_that_passed():
    (receipt,), error = run([step("one"), step("two", "0 bytes left")])
    assert error is None
    assert receipt.is_passed
    assert [(s.name, s.detail) for s in receipt.steps] == [("one", "fine"), ("two", "0 bytes left")]
    assert receipt.receipt_id.startswith("rcp_")
    assert (receipt.node_id, receipt.gpu_mask, receipt.cluster_id) == ("n7", 0xFF, "clu_a")


@pytest.mark.parametrize(
    "what",
    [
        StepFailedError("2 files left"),
        DriverRetryableError("no answer: 2 files left"),
        DriverPermanentError("refuses: 2 files left"),
        KeyError("2 files left"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_step_that_fails_in_any_way_ends_it_and_is_named(what):
    (receipt,), error = run([step("one"), step("sanitise disk", what), step("never")])
    assert not receipt.is_passed
    assert [s.name for s in receipt.steps] == ["one", "sanitise disk"]
    assert "2 files left" in receipt.steps[-1].detail
    assert "sanitise disk" in str(error)
    assert "2 files left" in str(error)
    assert receipt.receipt_id in error.next_step


def test_a_step_that_hangs_has_failed():
    async def hang():
        await asyncio.Event().wait()

    (receipt,), error = run([Step("burn in", 0.05, hang)])
    assert "not done within 0.05 s" in receipt.steps[0].detail
    assert "burn in" in str(error)


def test_a_cleaning_that_is_broken_off_leaves_a_receipt_that_did_not_pass():
    kept = Kept()

    async def main():
        is_there = asyncio.Event()

        async def hang():
            is_there.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(
            clean(SUBJECT, [step("one"), Step("two", 60, hang)], SystemClock(), kept)
        )
        await is_there.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (receipt,) = kept.all
    assert not receipt.is_passed
    assert [s.is_passed for s in receipt.steps] == [True, False]


def test_a_hook_that_nobody_configured_is_said_and_never_passed_silently():
    (receipt,), error = run([hook_step("burn in", None, NodeId("n7"))])
    assert error is None
    assert receipt.steps[0].detail == "not done: no hook configured"


def test_a_required_hook_that_nobody_configured_fails():
    (receipt,), error = run([hook_step("burn in", None, NodeId("n7"), is_required=True)])
    assert not receipt.is_passed
    assert "requires" in str(error)


def test_a_hook_runs_with_the_nodes_name_and_its_word_counts():
    good = HookSettings(command=(sys.executable, "-c", "import sys; print(sys.argv[1])", "{node}"))
    (receipt,), error = run([hook_step("reset GPUs", good, NodeId("n7"))])
    assert error is None
    assert receipt.steps[0].detail == "n7"
    bad = HookSettings(command=(sys.executable, "-c", "print('GPU 3 has errors'); exit(4)"))
    _, error = run([hook_step("reset GPUs", bad, NodeId("n7"))])
    assert "ended with 4: GPU 3 has errors" in str(error)
    _, error = run([hook_step("x", HookSettings(command=("/no/such",)), NodeId("n7"))])
    assert "cannot be started" in str(error)


def test_a_hook_that_hangs_is_killed_with_its_children(tmp_path):
    pid_file = tmp_path / "pid"
    hook = HookSettings(
        command=("sh", "-c", f"sleep 600 & echo $! > {pid_file}; wait"), time_s_max=1
    )
    _, error = run([hook_step("burn in", hook, NodeId("n7"))])
    assert "not done within 1 s" in str(error)
    pid = pid_file.read_text().strip()
    # Killed: gone, or a zombie that this process's init has not fetched yet.
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        state = "Z"
    assert state in "ZX"
