"""A note: one finding of a check."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOTES_PER_RULE_MAX = 20
"""Findings of one rule on one table that are spelled out; the last one says how many more."""


@dataclass(frozen=True, slots=True)
class Note:
    """One broken rule at one place.

    Fields:
        rule: name of the rule, e.g. "switch_port_reuse".
        place: table and row, e.g. ``nodes[12].nics[3]``; rows count from 0.
        sentence: what is wrong, with ids, what was found and what was wanted.
    """

    rule: str
    place: str
    sentence: str


def notes_for(
    rule: str,
    rows: NDArray[np.intp] | NDArray[np.bool_],
    place: Callable[[int], str],
    sentence: Callable[[int], str],
) -> list[Note]:
    """One note for each row, at most ``NOTES_PER_RULE_MAX``, the last with the count of the rest.

    Args:
        rule: name of the rule.
        rows: row indices, or a mask over all rows.
        place: the place of a row.
        sentence: the sentence about a row.
    """
    picked = np.flatnonzero(rows) if rows.dtype == np.bool_ else np.asarray(rows)
    shown = [int(row) for row in picked[:NOTES_PER_RULE_MAX]]
    notes = [Note(rule, place(row), sentence(row)) for row in shown]
    more = len(picked) - len(shown)
    if more:
        last = notes[-1]
        notes[-1] = Note(rule, last.place, f"{last.sentence} (and {more} more like this)")
    return notes
