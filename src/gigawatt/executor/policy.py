"""How patient the executor is. Source: ours; every number can be set where it is wired."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExecutorPolicy:
    """Bounds of the executor.

    Fields:
        attempt_count_max: tries of one driver call before it counts as failed, >= 1.
        backoff_s_first, backoff_s_max: wait before the second try; doubled up to the maximum.
        pass_tries_s_max: in a pass of the reconciler, no further try of a call begins later than
            this after the first; the next pass goes on.
        call_timeout_s: longest wait for one driver call; then it counts as a lost reply.
        verify_round_count_max: times a stage is put right after a read-back that differs.
        concurrent_call_count_max: driver calls in flight at once.
        flush_step_count: outcomes journaled in one transaction.
        flush_s: after this long they are journaled with the next one, so that who watches sees
            planes close one by one, and not at the end of a stage.
        negative_probe_count_max: pairs of different clusters probed after a change.
        is_proving: prove isolation from the read-back of every shared device before the end.
        lease_renewal_s: pause between renewals of the operation's lease, None for none.
    """

    attempt_count_max: int = 5
    backoff_s_first: float = 0.2
    backoff_s_max: float = 10.0
    pass_tries_s_max: float = 45.0
    call_timeout_s: float = 900.0
    verify_round_count_max: int = 2
    concurrent_call_count_max: int = 256
    flush_step_count: int = 512
    flush_s: float = 0.5
    negative_probe_count_max: int = 256
    is_proving: bool = True
    lease_renewal_s: float | None = 5.0
