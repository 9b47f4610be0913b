"""Where new ids come from: random ones in the product, counted ones in twin and tests."""

import secrets
from typing import Protocol


class IdSource(Protocol):
    """A maker of ids."""

    def new(self, prefix: str) -> str:
        """A new id ``PREFIX_...`` that this source has never given before."""
        ...


class RandomIds:
    """Ids with 64 random bits: 10 million of them collide with a chance of 3 in a million."""

    def new(self, prefix: str) -> str:
        """A new id, e.g. ``clu_9f8e7d6c5b4a3920``."""
        return f"{prefix}_{secrets.token_hex(8)}"


class CountingIds:
    """Ids counted from one, the same in every run."""

    def __init__(self) -> None:
        """Start at one."""
        self._count = 0

    def new(self, prefix: str) -> str:
        """A new id, e.g. ``clu_00000001``."""
        self._count += 1
        return f"{prefix}_{self._count:08d}"
