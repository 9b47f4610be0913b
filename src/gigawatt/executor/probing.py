"""Probes: does traffic really pass inside the cluster, and really not to anybody else?"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gigawatt.boundary.plane import Plane
from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.errors import DriverError, DriverRetryableError
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.ids import NodeId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.driver import Driver, Endpoint

Pair = tuple[Endpoint, Endpoint]


def endpoint_of(member: Member) -> Endpoint:
    """Where a member's host or guest answers."""
    slot = (member.gpu_mask & -member.gpu_mask).bit_length() - 1
    return Endpoint(member.node_id, slot)


def positive_pairs(target: ClusterTarget) -> tuple[Pair, ...]:
    """Each member with the next in rank order, closed to a ring; nobody if it is alone."""
    ends = [endpoint_of(member) for member in target.active_members]
    if len(ends) < 2:
        return ()
    return tuple(zip(ends, [*ends[1:], ends[0]], strict=True))


def negative_pairs(
    target: ClusterTarget, others: Sequence[ClusterTarget], count_max: int
) -> tuple[Pair, ...]:
    """Members of this cluster with members of others, both ways, spread over all others."""
    mine = [endpoint_of(member) for member in target.active_members]
    pairs: list[Pair] = []
    for number, other in enumerate(others):
        theirs = [endpoint_of(member) for member in other.members]
        if not mine or not theirs or len(pairs) + 2 > count_max:
            continue
        near, far = mine[number % len(mine)], theirs[number % len(theirs)]
        pairs += [(near, far), (far, near)]
    return tuple(pairs)


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """Probes of one plane.

    Fields: positive and negative counts run; sentences of what is wrong; the nodes that most
    explain failed positive probes.
    """

    plane: Plane
    positive_count: int
    negative_count: int
    wrong: tuple[str, ...]
    suspects: tuple[NodeId, ...]


def _suspects(failed: Sequence[Pair]) -> tuple[NodeId, ...]:
    """Nodes at both ends' failures: those with most failures first explain the others.

    Of two ends of one failure it is the one that was not reached.
    """
    suspects: list[NodeId] = []
    left = list(failed)
    while left:
        counts = Counter(end.node_id for pair in left for end in pair)
        aimed_at = Counter(pair[1].node_id for pair in left)
        worst = min(counts, key=lambda node: (-counts[node], -aimed_at[node], node))
        suspects.append(worst)
        left = [pair for pair in left if worst not in {pair[0].node_id, pair[1].node_id}]
    return tuple(suspects)


async def _ask(
    driver: Driver, pairs: Sequence[Pair], policy: ExecutorPolicy, clock: Clock
) -> tuple[bool, ...]:
    """The driver's answers; a probe that could not be run is tried again."""
    for number in range(policy.attempt_count_max - 1):
        try:
            return await driver.probe(pairs)
        except DriverRetryableError:
            await clock.sleep(min(policy.backoff_s_first * 2**number, policy.backoff_s_max))
    return await driver.probe(pairs)


async def _probe(
    driver: Driver,
    positive: Sequence[Pair],
    negative: Sequence[Pair],
    policy: ExecutorPolicy,
    clock: Clock,
) -> ProbeReport:
    plane = driver.plane
    try:
        answers = await _ask(driver, (*positive, *negative), policy, clock)
    except DriverError as error:
        return ProbeReport(plane, 0, 0, (f"{plane.value}: probe did not run: {error}",), ())
    cut = len(positive)
    dark = [pair for pair, reached in zip(positive, answers[:cut], strict=True) if not reached]
    leaks = [pair for pair, reached in zip(negative, answers[cut:], strict=True) if reached]
    wrong = [_darkness(plane, a, b) for a, b in dark]
    wrong += [f"{plane.value}: {a.node_id} reaches foreign {b.node_id}" for a, b in leaks]
    return ProbeReport(plane, len(positive), len(negative), tuple(wrong), _suspects(dark))


def _darkness(plane: Plane, a: Endpoint, b: Endpoint) -> str:
    if plane is Plane.IN_BAND and a == b:
        return f"{plane.value}: the machine of {a.node_id} does not answer by its cable"
    return f"{plane.value}: {a.node_id} does not reach {b.node_id}"


def _share(one: ClusterTarget, other: ClusterTarget) -> bool:
    """Whether two clusters mount one file system, so that they rightly meet in it."""
    mounted = {mount.file_system_id for mount in one.mounts}
    return any(mount.file_system_id in mounted for mount in other.mounts)


async def probe_all(
    drivers: Mapping[Plane, Driver],
    target: ClusterTarget,
    others: Sequence[ClusterTarget],
    policy: ExecutorPolicy,
    clock: Clock,
    *,
    before: ClusterTarget | None = None,
) -> tuple[ProbeReport, ...]:
    """Probe every plane: the ring inside the cluster, and pairs with every other cluster.

    In-band, each machine that came with the change (``before`` is what there was) is asked itself:
    its cable shows in nothing else. The others are the tenant's, who may have switched them off.
    Storage is probed inside the cluster only when it has or mounts a file system, and outside not
    towards clusters that mount one with it; the out-of-band plane only when the cluster holds
    whole nodes (guests have no way to a BMC). A file system has no host to probe from.
    """
    if target.is_file_system:
        return ()
    count_max = policy.negative_probe_count_max
    negative = negative_pairs(target, others, count_max)
    apart = negative_pairs(target, [o for o in others if not _share(target, o)], count_max)
    ring = positive_pairs(target)
    alone = [endpoint_of(member) for member in target.active_members]
    host = ring or tuple((end, end) for end in alone)
    known = {endpoint_of(member) for member in before.active_members} if before else set()

    def inside(plane: Plane) -> tuple[Pair, ...]:
        if plane is Plane.STORAGE:
            return ring if target.storage_bytes or target.mounts else ()
        if plane is Plane.OUT_OF_BAND and len(alone) == 1:
            return ()
        if plane is Plane.IN_BAND:
            return (*ring, *((end, end) for end in alone if end not in known))
        return host if plane is Plane.HOST else ring

    return tuple(
        await asyncio.gather(
            *(
                _probe(
                    driver,
                    inside(plane),
                    apart if plane is Plane.STORAGE else negative,
                    policy,
                    clock,
                )
                for plane, driver in drivers.items()
            )
        )
    )
