"""How long before it is taken somebody is told that a node is wanted back."""

from dataclasses import dataclass

from gigawatt.errors import InputError
from gigawatt.units import DAY_S, MINUTE_S

NOTICE_S_MIN = 2.0 * MINUTE_S
"""Shortest notice. Ours; the notice of a spot instance of AWS is two minutes too
(docs.aws.amazon.com, "Spot Instance interruption notices")."""
NOTICE_S_MAX = 7.0 * DAY_S
"""Longest notice: beyond it somebody mistook a unit. Ours."""


@dataclass(frozen=True, slots=True)
class NoticePolicy:
    """Times that an operator sets, in seconds.

    Fields:
        notice_s: between a notice and its deadline, 120 or more.
        clear_s: from the deadline until nodes are isolated, cleaned and free for the next, >= 0.
        use_s: least time that somebody shall have nodes which are wanted back later, >= 0.
        end_notice_s: between the notice that a reservation ends and its end.
    """

    notice_s: float = NOTICE_S_MIN
    clear_s: float = 30.0 * MINUTE_S
    """As long as a release should take at most, ``planner.phases.PHASE_SLA_S``."""
    use_s: float = 10.0 * MINUTE_S
    end_notice_s: float = 1.0 * DAY_S

    @property
    def lead_s(self) -> float:
        """How long before they are wanted nodes have to be asked back."""
        return self.notice_s + self.clear_s

    @property
    def keep_off_s(self) -> float:
        """How long before they are wanted nobody else is let on nodes any more."""
        return self.lead_s + self.use_s


def check_notice(policy: NoticePolicy) -> None:
    """Refuse times that are none.

    Raises:
        InputError: names what is wrong.
    """
    if not NOTICE_S_MIN <= policy.notice_s <= NOTICE_S_MAX:
        raise InputError(
            f"a notice of {policy.notice_s:,.0f} s, wanted {NOTICE_S_MIN:,.0f} to"
            f" {NOTICE_S_MAX:,.0f}"
        )
    if not all(0 <= time_s <= NOTICE_S_MAX for time_s in (policy.clear_s, policy.use_s)):
        raise InputError(
            f"{policy.clear_s:,.0f} s to clear nodes and {policy.use_s:,.0f} s to use them, wanted"
            f" 0 to {NOTICE_S_MAX:,.0f}"
        )
    if not policy.notice_s <= policy.end_notice_s <= NOTICE_S_MAX:
        raise InputError(
            f"a notice of {policy.end_notice_s:,.0f} s before a reservation ends, wanted"
            f" {policy.notice_s:,.0f} to {NOTICE_S_MAX:,.0f}"
        )
