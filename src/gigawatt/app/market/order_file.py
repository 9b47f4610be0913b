"""The order of classes as a file: YAML with a list ``order`` of a term and whom it takes from."""

import os
from collections.abc import Mapping
from pathlib import Path

from gigawatt.app.home import read_text
from gigawatt.errors import InputError
from gigawatt.fleet.yaml_tree import read_yaml
from gigawatt.intent.term import Term
from gigawatt.market.order import ORDER, ClassRule, Order, check_order

ORDER_VARIABLE = "GIGAWATT_ORDER"
"""Environment variable: file of the order in force; the built-in one where it is not set."""

FLAGS = ("takes_from_spot", "takes_from_lent")


def order_in_force() -> Order:
    """The order that the environment says.

    Raises:
        InputError: the file cannot be read, or holds no order.
    """
    text = os.environ.get(ORDER_VARIABLE, "").strip()
    return read_order_file(Path(text)) if text else ORDER


def read_order_file(path: Path) -> Order:
    """The order in a file.

    Raises:
        InputError: it cannot be read, or holds no order.
    """
    try:
        return parse_order(read_text(path))
    except InputError as error:
        error.next_step = "Begin with what 'gw spot order -o yaml' writes."
        raise


def parse_order(text: str) -> Order:
    """The order in a text.

    Raises:
        InputError: it is none.
    """
    document = read_yaml(text, "the order").data
    rows = document.get("order") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise InputError("the order is no YAML mapping with a list 'order'")
    return check_order([_rule(number, row) for number, row in enumerate(rows, start=1)])


def _rule(number: int, row: object) -> ClassRule:
    what = f"rule {number} of the order"
    if not isinstance(row, Mapping):
        raise InputError(f"{what} is no mapping")
    # Sentences are what the service says of a rule; a file may hold what was written out.
    unknown = sorted(set(row) - {"term", "sentence", *FLAGS})
    if unknown:
        raise InputError(f"{what} has {unknown[0]!r}, wanted term, {' and '.join(FLAGS)}")
    if row.get("term") not in list(Term):
        raise InputError(f"{what} is of {row.get('term')!r}, wanted one of {', '.join(Term)}")
    flags = {name: row.get(name, False) for name in FLAGS}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InputError(f"{what}: {name} is {value!r}, wanted true or false")
    return ClassRule(Term(row["term"]), flags["takes_from_spot"], flags["takes_from_lent"])
