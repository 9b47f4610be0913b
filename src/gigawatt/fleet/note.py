"""A note: one finding of a check."""

from dataclasses import dataclass


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
