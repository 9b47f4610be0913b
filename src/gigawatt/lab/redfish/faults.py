"""Ways in which a simulated BMC fails."""

from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Faults(BaseModel):
    """What is wrong with one BMC now.

    Fields:
        hangs: ``accept`` accepts connections and says nothing, ``request`` takes requests and
            answers none.
        lies: says that changes were made, and makes none.
        hides: takes an account that leaves off its list, and lets it in as before until mended.
        error_status, error_share, error_seed: answers this share of requests with this status.
        drop_after_bytes: ends the connection after so many bytes of an answer.
        delay_s: waits before each answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    hangs: Literal["accept", "request"] | None = None
    lies: bool = False
    hides: bool = False
    error_status: Literal[500, 503] = 500
    error_share: float = Field(default=0.0, ge=0, le=1)
    error_seed: int = 0
    drop_after_bytes: int | None = Field(default=None, ge=0)
    delay_s: float = Field(default=0.0, ge=0, le=600)


class Failing:
    """The faults of one BMC, with the chance that they take."""

    def __init__(self) -> None:
        """Nothing is wrong."""
        self.now = Faults()
        self._chance = Random(0)  # noqa: S311 - not for secrets

    def become(self, faults: Faults) -> None:
        """Let this be wrong from now on."""
        self.now = faults
        self._chance = Random(faults.error_seed)  # noqa: S311 - not for secrets

    def is_error_due(self) -> bool:
        """Whether the next request meets an error."""
        return self._chance.random() < self.now.error_share
