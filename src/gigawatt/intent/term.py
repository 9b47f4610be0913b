"""How capacity is held and paid for."""

from enum import StrEnum


class Term(StrEnum):
    """How capacity is held."""

    ON_DEMAND = "on_demand"
    """By the second, until it is released."""
    RESERVED = "reserved"
    """From a date to a date, paid for whether it is used or not."""
    SPOT = "spot"
    """What is left, until somebody else needs it; a row's price is the floor of its rounds."""
