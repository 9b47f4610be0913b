"""One line of wishes for one area of the fleet, and the claim of who is being made room for."""

from collections import Counter

from gigawatt.intent.queue import QueuePolicy
from gigawatt.intent.term import Term
from gigawatt.twin.market.demand import Wish
from gigawatt.twin.market.floor import OPEN
from gigawatt.twin.queue import JobQueue


class Line:
    """Who waits for GPUs of one area: a reservation's, or those promised to nobody.

    Attributes:
        area: as in ``Floor.reserved_by``.
        queue: in order of submission.
        claim: the wish that room is coming for; nobody takes it from them.
    """

    def __init__(self, area: int, policy: QueuePolicy) -> None:
        """Nobody waits."""
        self.area = area
        self.queue: JobQueue[Wish] = JobQueue(policy)
        self.claim: Wish | None = None
        self._sizes: Counter[int] = Counter()

    def push(self, wish: Wish) -> None:
        """Somebody waits."""
        self.queue.push(wish)
        self._sizes[wish.gpu_count] += 1

    def remove(self, wish: Wish) -> None:
        """Somebody waits no more."""
        self.queue.remove(wish)
        self._sizes[wish.gpu_count] -= 1
        if not self._sizes[wish.gpu_count]:
            del self._sizes[wish.gpu_count]

    def has(self, wish: Wish) -> bool:
        """Whether somebody waits here."""
        return any(other is wish for other in self.queue)

    @property
    def term(self) -> Term:
        """The class of who waits here."""
        return Term.ON_DEMAND if self.area == OPEN else Term.RESERVED

    @property
    def gpu_count_min(self) -> int | None:
        """The smallest size that is waited for; None where nobody waits."""
        return min(self._sizes, default=None)
