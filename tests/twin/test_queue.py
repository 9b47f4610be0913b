"""Goal: the queue serves in the order its policy promises, and spares tries that cannot succeed.

Method: hypothesis properties over random jobs, room and rounds, against a model that tries
everything.
"""

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gigawatt.intent.queue import QueuePolicy
from gigawatt.twin.queue import JobQueue


@dataclass(frozen=True)
class Waiter:
    order: tuple[float, int]
    gpu_count: int


WAITERS = st.lists(
    st.tuples(st.integers(0, 100), st.sampled_from([1, 2, 4, 8, 16, 64, 256])), max_size=30
).map(lambda rows: [Waiter((float(at), n), gpus) for n, (at, gpus) in enumerate(rows)])


def fill(waiters: list[Waiter], policy: QueuePolicy) -> JobQueue[Waiter]:
    queue: JobQueue[Waiter] = JobQueue(policy)
    for waiter in waiters:
        queue.push(waiter)
    return queue


def serve(queue: JobQueue[Waiter], room: int, now_s: float) -> tuple[list[Waiter], int]:
    """Who was served, and how many tries were refused."""
    served, refusal_count = [], 0
    for waiter in queue.candidates(now_s):
        if waiter.gpu_count <= room:
            room -= waiter.gpu_count
            queue.remove(waiter)
            served.append(waiter)
        else:
            queue.refuse(waiter)
            refusal_count += 1
    return served, refusal_count


@given(WAITERS, st.integers(0, 400))
def test_without_patience_it_is_first_fit_in_order_of_submission(waiters, room):
    served, _ = serve(fill(waiters, QueuePolicy(math.inf, 100)), room, 1e9)
    expected, left = [], room
    for waiter in sorted(waiters, key=lambda w: w.order):
        if waiter.gpu_count <= left:
            left -= waiter.gpu_count
            expected.append(waiter)
    assert served == expected


@given(WAITERS, st.integers(0, 400))
def test_no_size_is_refused_twice_until_something_is_given_back(waiters, room):
    queue = fill(waiters, QueuePolicy(math.inf, 100))
    _, refusal_count = serve(queue, room, 1e9)
    assert refusal_count <= len({waiter.gpu_count for waiter in waiters})
    assert serve(queue, 0, 1e9)[1] <= len({w.gpu_count for w in queue}) + 1
    again, tries = serve(queue, 0, 1e9)
    assert (again, tries) == ([], 0)
    queue.reopen()
    assert (serve(queue, 0, 1e9)[1] > 0) == (len(queue) > 0)


@given(WAITERS, st.integers(0, 400))
def test_nobody_passes_a_job_that_ran_out_of_patience(waiters, room):
    queue = fill(waiters, QueuePolicy(patience_s=0.0, refusal_count_max=100))
    served, _ = serve(queue, room, 1e9)
    assert served == sorted(waiters, key=lambda w: w.order)[: len(served)]


@given(WAITERS, st.integers(1, 3))
def test_refusals_in_one_round_are_bounded(waiters, bound):
    _, refusal_count = serve(fill(waiters, QueuePolicy(math.inf, bound)), 0, 1e9)
    assert refusal_count <= bound


@given(WAITERS)
def test_what_waits_is_kept_in_order(waiters):
    queue = fill(list(reversed(waiters)), QueuePolicy())
    assert [waiter.order for waiter in queue] == sorted(waiter.order for waiter in waiters)
    assert queue.gpu_count == sum(waiter.gpu_count for waiter in waiters)
