"""What is measured while a market is replayed, beside where GPU-hours and money went."""

from collections import Counter
from dataclasses import dataclass, field

from gigawatt.intent.term import Term


@dataclass(frozen=True, slots=True)
class Wait:
    """One job's wait for its first cluster, s; ``is_over`` False where it waited to the end."""

    term: Term
    gpu_count: int
    wait_s: float
    is_over: bool


@dataclass(slots=True)
class MarketMetrics:
    """Counts and samples.

    Fields:
        waits: of every job that was not running when the window opened and was not turned away.
        spreads: leaf groups used over the fewest possible, of clusters of two nodes or more.
        started, ended: jobs by term.
        turned_away: jobs by term; turned_away_gpu_s is what they asked for.
        preemption_count, preempted_gpu_s: spot clusters stopped, and work that was lost by it.
        failure_count, failed_gpu_s: nodes that broke, and work that was lost by it.
        requeued_count: clusters that a failure sent back to their line.
        round_prices: micro-USD per GPU-hour of every round that sold something.
        short_node_count: nodes that tenants wanted to reserve and were not free.
    """

    waits: list[Wait] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    started: Counter[Term] = field(default_factory=Counter)
    ended: Counter[Term] = field(default_factory=Counter)
    turned_away: Counter[Term] = field(default_factory=Counter)
    turned_away_gpu_s: float = 0.0
    preemption_count: int = 0
    preempted_gpu_s: float = 0.0
    failure_count: int = 0
    failed_gpu_s: float = 0.0
    requeued_count: int = 0
    round_prices: list[int] = field(default_factory=list)
    short_node_count: int = 0
