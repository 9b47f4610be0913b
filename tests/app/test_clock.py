"""The two clocks.

Goal: everybody may take either clock for the other.
Method: the manual clock moves when it is slept on or set and not otherwise; the machine's clock
moves forward.
"""

import asyncio

from gigawatt.app.clock import ManualClock, SystemClock
from gigawatt.interfaces.clock import Clock


def test_a_manual_clock_moves_when_told():
    clock = ManualClock(100.0)
    asyncio.run(clock.sleep(5.5))
    assert clock.now_s() == 105.5
    clock.at_s = 7.0
    assert clock.now_s() == 7.0


def test_sleeping_on_a_manual_clock_lets_others_run():
    clock = ManualClock()
    order = []

    async def visit(name):
        for turn in range(2):
            order.append((turn, name))
            await clock.sleep(1.0)

    async def run():
        await asyncio.gather(visit("a"), visit("b"))

    asyncio.run(run())
    assert order == sorted(order)


def test_the_machines_clock_goes_forward():
    clock: Clock = SystemClock()
    before = clock.now_s()
    asyncio.run(clock.sleep(0.0))
    assert before <= clock.now_s() < before + 60.0
