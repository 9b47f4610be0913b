"""What is wrong with a ``partitions.conf`` that somebody wrote by hand.

The driver's own files have one strict form (``partitions_conf``) and need none of this. Here the
grammar of OpenSM is read as far as it says who is in which partition.
Source: opensm(8) of 3.3.23, "PARTITION CONFIGURATION", and ``osm_prtn_config.c``.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gigawatt.boundary.entries import DEFAULT_P_KEY
from gigawatt.drivers.opensm.hygiene import HygieneFinding
from gigawatt.drivers.opensm.rules import P_KEYS_PER_PORT_MAX

LINE_BYTES_MAX = 4_095
"""OpenSM reads lines into 4,096 bytes and takes what is over for the next line."""
_EVERYBODY = ("ALL", "ALL_CAS", "ALL_SWITCHES", "ALL_ROUTERS")
_NUMBER = re.compile(r"(0x[0-9a-fA-F]+|[0-9]+)\Z")
_HOW = ("full", "limited", "both")

PARTITION_RULES = (
    "empty_file",
    "long_line",
    "unended",
    "no_p_key",
    "p_key_range",
    "p_key_twice",
    "open_default",
    "everybody",
    "both",
    "unread_member",
    "unsaid_membership",
    "full_table",
)
"""Names of all rules on ``partitions.conf``."""


@dataclass(frozen=True, slots=True)
class _Definition:
    """One definition: its line, its name, its P_Key if it names one, what its members are."""

    line: int
    name: str
    p_key: int | None
    is_default_full: bool
    members: tuple[str, ...]

    @property
    def is_default(self) -> bool:
        return self.p_key == DEFAULT_P_KEY or (self.p_key is None and self.name == "Default")


def lint_partitions(text: str) -> tuple[HygieneFinding, ...]:
    """What is wrong with a ``partitions.conf``; empty when all is well."""
    if not text.strip():
        return (HygieneFinding("empty_file", 0, "OpenSM opens the whole fabric"),)
    found = list(_lint_lines(text))
    definitions = list(_definitions(text))
    found += _lint_keys(definitions)
    for definition in definitions:
        found += _lint_members(definition)
    found += _lint_tables(definitions)
    return tuple(sorted(found, key=lambda finding: (finding.line, finding.rule)))


def _lint_lines(text: str) -> Iterator[HygieneFinding]:
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line.encode()) > LINE_BYTES_MAX:
            reason = f"{len(line.encode())} bytes: OpenSM cuts it, perhaps within a GUID"
            yield HygieneFinding("long_line", number, reason)
    stripped = "\n".join(line.partition("#")[0] for line in text.splitlines()).rstrip()
    if stripped and not stripped.endswith(";"):
        reason = "the last definition has no ';': OpenSM drops all and opens the whole fabric"
        yield HygieneFinding("unended", len(text.splitlines()), reason)


def _definitions(text: str) -> Iterator[_Definition]:
    line = 1
    bare = "\n".join(part.partition("#")[0] for part in text.splitlines())
    for chunk in bare.split(";"):
        begins = line + chunk[: len(chunk) - len(chunk.lstrip())].count("\n")
        line += chunk.count("\n")
        if not chunk.strip():
            continue
        head, _, tail = chunk.partition(":")
        flags = [word.strip() for word in head.split(",")]
        name, _, key = (word.strip() for word in flags[0].partition("="))
        rows = [row for row in tail.split("\n") if not row.strip().startswith("mgid")]
        words = [word.strip() for row in rows for word in row.split(",")]
        full = {"defmember=full", "defmember=both"}
        yield _Definition(
            begins,
            name,
            int(key, 0) if _NUMBER.match(key) else None,
            any("".join(word.split()) in full for word in (*flags[1:], *words)),
            tuple(word for word in words if word and not word.startswith("defmember")),
        )


def _lint_keys(definitions: list[_Definition]) -> Iterator[HygieneFinding]:
    seen: set[int] = set()
    for one in definitions:
        if one.p_key is None:
            if not one.is_default:
                reason = f"{one.name!r} names no P_Key: OpenSM makes one up at each start"
                yield HygieneFinding("no_p_key", one.line, reason)
            continue
        if not 1 <= one.p_key <= DEFAULT_P_KEY:
            reason = f"{one.p_key:#x}: OpenSM takes the low 15 bits, {one.p_key & 0x7FFF:#06x}"
            yield HygieneFinding("p_key_range", one.line, reason)
        if one.p_key & 0x7FFF in seen:
            reason = f"{one.p_key:#06x} is defined twice: both lists are merged"
            yield HygieneFinding("p_key_twice", one.line, reason)
        seen.add(one.p_key & 0x7FFF)


def _lint_members(one: _Definition) -> Iterator[HygieneFinding]:
    for word in one.members:
        who, equals, how = (part.strip() for part in word.partition("="))
        if who not in (*_EVERYBODY, "SELF") and not _NUMBER.match(who):
            reason = f"{word!r} is no member: OpenSM drops all and opens the whole fabric"
            yield HygieneFinding("unread_member", one.line, reason)
            continue
        if equals and how not in _HOW:
            reason = f"{word!r} is taken for limited, wanted one of {', '.join(_HOW)}"
            yield HygieneFinding("unsaid_membership", one.line, reason)
        if how == "both":
            reason = f"{who} is full and limited at once: limited means nothing then"
            yield HygieneFinding("both", one.line, reason)
        is_full = how in ("full", "both") or (not equals and one.is_default_full)
        if who in _EVERYBODY and one.is_default and is_full and who != "ALL_SWITCHES":
            reason = f"{who} is full in the default partition: every port reaches every port"
            yield HygieneFinding("open_default", one.line, reason)
        if who in _EVERYBODY and not one.is_default:
            reason = f"{who} is in partition {one.name!r}: so is every tenant"
            yield HygieneFinding("everybody", one.line, reason)


def _lint_tables(definitions: list[_Definition]) -> Iterator[HygieneFinding]:
    pairs = {
        (int(who, 0), one.p_key)
        for one in definitions
        if one.p_key is not None and not one.is_default
        for word in one.members
        if _NUMBER.match(who := word.partition("=")[0].strip())
    }
    for guid, count in sorted(Counter(guid for guid, _ in pairs).items()):
        if count + 1 > P_KEYS_PER_PORT_MAX:
            reason = (
                f"port {guid:#018x} is in {count} partitions: beyond {P_KEYS_PER_PORT_MAX - 1}"
                " OpenSM does not take them off its switch port again"
            )
            yield HygieneFinding("full_table", 0, reason)
