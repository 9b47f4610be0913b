"""What an operator sets for notices, by the environment."""

import os

from gigawatt.errors import InputError
from gigawatt.market.notice import NoticePolicy, check_notice

NOTICE_VARIABLE = "GIGAWATT_NOTICE_S"
"""Environment variable: seconds between a notice and its deadline, 120 or more."""


def notice_policy() -> NoticePolicy:
    """The times of notices that the environment says.

    Raises:
        InputError: it says no time, or one that is too short or too long.
    """
    text = os.environ.get(NOTICE_VARIABLE, "").strip()
    if not text:
        return NoticePolicy()
    try:
        policy = NoticePolicy(notice_s=float(text))
        check_notice(policy)
    except ValueError as error:
        raise InputError(
            f"{NOTICE_VARIABLE} is {text!r}, wanted seconds", next_step="Write e.g. 300."
        ) from error
    return policy
