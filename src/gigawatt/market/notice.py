"""How long before it is taken somebody is told that a node is wanted back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gigawatt.errors import InputError
from gigawatt.units import DAY_S, MINUTE_S

NoticeAnswer = Literal["saved", "failed"]
"""What a tenant says of its work after a notice. "saved" gives the nodes back before the deadline;
"failed" changes nothing of it, and can still become "saved"."""

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


def can_answer(before: NoticeAnswer | None, answer: NoticeAnswer) -> bool:
    """Whether an answer changes what was said before; who said that all is saved cannot unsay it.

    Example:
        >>> can_answer("failed", "saved"), can_answer("saved", "failed")
        (True, False)
    """
    return before is None or (before, answer) == ("failed", "saved")


def may_take_early(answers: Iterable[NoticeAnswer | None], *, is_own_end: bool) -> bool:
    """Whether nodes may be taken before their deadline.

    Only when all who are asked for the same demand have said that their work is saved: what one
    alone gives back early would serve nobody yet (ADR-0049). Never when a tenant's own time ends:
    until then it is theirs.

    Args:
        answers: of every notice for one demand that is not carried out yet.
        is_own_end: whether nobody else wants the nodes, and a reservation ends.
    """
    return not is_own_end and all(answer == "saved" for answer in answers)
