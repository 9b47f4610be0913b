"""The order of classes: who is served first, and who is asked to give way for whom. Data.

Reserved before on demand before spot; within a class the fair queue of ``intent.queue``. The
service and the twin read one table by the same functions, so that a replay says what another table
would do, and operators are shown the one in force (ADR-0044).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gigawatt.errors import InputError
from gigawatt.intent.term import Term

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClassRule:
    """One class of demand.

    Fields:
        term: whose rule it is.
        takes_from_spot: whether spot clusters are asked to give way for it.
        takes_from_lent: whether those are asked who hold reserved nodes on loan.
    """

    term: Term
    takes_from_spot: bool
    takes_from_lent: bool

    @property
    def sentence(self) -> str:
        """The rule, for people."""
        return f"{_WHERE[self.term]}; {self._who_gives_way}"

    @property
    def _who_gives_way(self) -> str:
        givers = [
            words
            for words, gives in (
                ("spot", self.takes_from_spot),
                ("who has reserved nodes on loan", self.takes_from_lent),
            )
            if gives
        ]
        if not givers:
            return "nobody gives way"
        verb = "gives" if len(givers) == 1 else "give"
        return f"{' and '.join(givers)} {verb} way, with notice"


_WHERE = {
    Term.RESERVED: "on its own nodes only",
    Term.ON_DEMAND: "on nodes that are promised to nobody",
    Term.SPOT: "on what is left, at the price of the round",
}

Order = tuple[ClassRule, ...]

ORDER: Order = (
    ClassRule(Term.RESERVED, takes_from_spot=True, takes_from_lent=True),
    ClassRule(Term.ON_DEMAND, takes_from_spot=True, takes_from_lent=False),
    ClassRule(Term.SPOT, takes_from_spot=False, takes_from_lent=False),
)
"""First served first."""


def check_order(order: Sequence[ClassRule]) -> Order:
    """The order, if it is one.

    Raises:
        InputError: a class is missing or there twice, or spot takes from others, which nobody who
            bid more would stand for.
    """
    terms = [rule.term for rule in order]
    if sorted(terms) != sorted(Term):
        raise InputError(
            f"the order is of {', '.join(terms) or 'nothing'}, wanted each of {', '.join(Term)}"
            " once"
        )
    spot = rule_of(Term.SPOT, order)
    if spot.takes_from_spot or spot.takes_from_lent:
        raise InputError("spot takes from nobody: what is left is sold by its round")
    return tuple(order)


def rule_of(term: Term, order: Sequence[ClassRule] = ORDER) -> ClassRule:
    """The rule of a class."""
    return next(rule for rule in order if rule.term is term)


def in_order(
    items: Iterable[T], term_of: Callable[[T], Term], order: Sequence[ClassRule] = ORDER
) -> list[list[T]]:
    """Items by class, the class that is served first first; within one as they came."""
    found: dict[Term, list[T]] = {rule.term: [] for rule in order}
    for item in items:
        found[term_of(item)].append(item)
    return list(found.values())


def comes_before(first: Term, other: Term, order: Sequence[ClassRule] = ORDER) -> bool:
    """Whether a class is served before another."""
    terms = [rule.term for rule in order]
    return terms.index(first) < terms.index(other)


def gives_way(
    wanting: Term, holding: Term, order: Sequence[ClassRule] = ORDER, *, is_lent: bool
) -> bool:
    """Whether who holds nodes so is asked to give them back for who wants them."""
    rule = rule_of(wanting, order)
    return (holding is Term.SPOT and rule.takes_from_spot) or (is_lent and rule.takes_from_lent)


def sentences(order: Sequence[ClassRule] = ORDER) -> list[str]:
    """The table for people, one line each."""
    return [f"{place}. {rule.term.value}: {rule.sentence}" for place, rule in enumerate(order, 1)]
