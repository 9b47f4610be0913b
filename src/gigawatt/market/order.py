"""The order of classes: who is served first, and who is asked to give way for whom. Data.

Reserved before on demand before spot; within a class the fair queue of ``intent.queue``. The
service and the twin read this one table, and operators are shown it (ADR-0044).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gigawatt.intent.term import Term

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClassRule:
    """One class of demand.

    Fields:
        term: whose rule it is.
        takes_from_spot: whether spot clusters are asked to give way for it.
        takes_from_lent: whether those are asked who hold reserved nodes on loan.
        sentence: the rule, for people.
    """

    term: Term
    takes_from_spot: bool
    takes_from_lent: bool
    sentence: str


ORDER: tuple[ClassRule, ...] = (
    ClassRule(
        Term.RESERVED,
        takes_from_spot=True,
        takes_from_lent=True,
        sentence="on its own nodes only; who has them on loan gives them back, with notice",
    ),
    ClassRule(
        Term.ON_DEMAND,
        takes_from_spot=True,
        takes_from_lent=False,
        sentence="on nodes that are promised to nobody; spot gives way, with notice",
    ),
    ClassRule(
        Term.SPOT,
        takes_from_spot=False,
        takes_from_lent=False,
        sentence="on what is left, at the price of the round; nobody gives way",
    ),
)
"""First served first."""


def rule_of(term: Term) -> ClassRule:
    """The rule of a class."""
    return next(rule for rule in ORDER if rule.term is term)


def in_order(items: Iterable[T], term_of: Callable[[T], Term]) -> list[list[T]]:
    """Items by class, the class that is served first first; within one as they came."""
    found: dict[Term, list[T]] = {rule.term: [] for rule in ORDER}
    for item in items:
        found[term_of(item)].append(item)
    return list(found.values())


def gives_way(wanting: Term, holding: Term, *, is_lent: bool) -> bool:
    """Whether who holds nodes so is asked to give them back for who wants them."""
    rule = rule_of(wanting)
    return (holding is Term.SPOT and rule.takes_from_spot) or (is_lent and rule.takes_from_lent)


def sentences(order: Sequence[ClassRule] = ORDER) -> list[str]:
    """The table for people, one line each."""
    return [f"{place}. {rule.term.value}: {rule.sentence}" for place, rule in enumerate(order, 1)]
