"""Words of nftables' JSON (libnftables-json(5)), in the very form in which it lists them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Words = dict[str, Any]
Expression = list[Words]


def meta(key: str) -> Words:
    """A property of the packet."""
    return {"meta": {"key": key}}


def payload(protocol: str, name: str) -> Words:
    """A header field."""
    return {"payload": {"protocol": protocol, "field": name}}


def ct(key: str) -> Words:
    """A property of the connection."""
    return {"ct": {"key": key}}


def match(left: Words, right: object, op: str = "==") -> Words:
    """A condition."""
    return {"match": {"op": op, "left": left, "right": right}}


def concat(*parts: Words) -> Words:
    """Several fields as one."""
    return {"concat": list(parts)}


ACCEPT: Words = {"accept": None}
DROP: Words = {"drop": None}


@dataclass(frozen=True)
class Chain:
    """A base chain. Fields: rules are (comment, expression); the policy is to drop."""

    hook: str
    priority: int
    rules: Sequence[tuple[str, Expression]] = ()
    kind: str = "filter"
    policy: str = "drop"


@dataclass(frozen=True)
class Table:
    """A table as we load it, or as it was read. Fields: sets by name: type and elements."""

    family: str
    name: str
    chains: Mapping[str, Chain]
    sets: Mapping[str, tuple[object, Sequence[object]]] = field(default_factory=dict)

    def skeleton(self) -> object:
        """All but comments and elements, to compare two by."""
        return (
            {
                name: (c.hook, c.priority, c.kind, c.policy, [words for _, words in c.rules])
                for name, c in self.chains.items()
            },
            {name: kind for name, (kind, _) in self.sets.items()},
        )


def loading(table: Table) -> str:
    """One transaction after which the table is as given, whatever it was before."""
    at = {"family": table.family, "table": table.name}
    bare = {"table": {"family": table.family, "name": table.name}}
    words: list[Words] = [{"add": bare}, {"delete": bare}, {"add": bare}]
    for name, (kind, elements) in table.sets.items():
        filled = {"elem": list(elements)} if elements else {}
        words.append({"add": {"set": {**at, "name": name, "type": kind, **filled}}})
    for name, chain in table.chains.items():
        base = {"type": chain.kind, "hook": chain.hook, "prio": chain.priority}
        words.append({"add": {"chain": {**at, "name": name, **base, "policy": chain.policy}}})
        for comment, expression in chain.rules:
            said = {"comment": comment} if comment else {}
            words.append({"add": {"rule": {**at, "chain": name, "expr": expression, **said}}})
    return json.dumps({"nftables": words})


def removing(table: Table) -> str:
    """One transaction after which the table is not there, whether it was or not."""
    bare = {"table": {"family": table.family, "name": table.name}}
    return json.dumps({"nftables": [{"add": bare}, {"delete": bare}]})


def read_tables(listing: str) -> dict[tuple[str, str], Table]:
    """The tables of ``nft -j list ruleset``, by family and name.

    Raises:
        ValueError: it is no such listing.
    """
    found: dict[tuple[str, str], Table] = {}
    chains: dict[tuple[str, str], dict[str, Chain]] = {}
    sets: dict[tuple[str, str], dict[str, tuple[object, Sequence[object]]]] = {}
    rules: dict[tuple[str, str, str], list[tuple[str, Expression]]] = {}
    for item in json.loads(listing)["nftables"]:
        ((kind, what),) = item.items()
        if kind == "table":
            at = (what["family"], what["name"])
            found[at] = Table(*at, chains.setdefault(at, {}), sets.setdefault(at, {}))
        elif kind == "chain":
            at = (what["family"], what["table"])
            kept = rules.setdefault((*at, what["name"]), [])
            chains[at][what["name"]] = Chain(
                what.get("hook", ""),
                what.get("prio", 0),
                kept,
                what.get("type", ""),
                what.get("policy", ""),
            )
        elif kind == "rule":
            said = (what.get("comment", ""), what["expr"])
            rules[what["family"], what["table"], what["chain"]].append(said)
        elif kind == "set":
            at = (what["family"], what["table"])
            sets[at][what["name"]] = (what["type"], what.get("elem", []))
    return found
