"""Expands Slurm's host lists: ``node[001-032,040]``, ``rack[0-3]node[0-7]``, ``a1,b[2-3]``.

Why own code: python-hostlist 2.3 is GPL-2+, which this Apache-2.0 package cannot depend on;
ClusterShell 1.10 reads configuration files and starts processes, and bounds nothing.

Source: slurm.schedmd.com/slurm.conf.html, "node names"; a width with leading zeros is kept.
"""

import re
from collections.abc import Iterator
from itertools import product
from math import prod

from gigawatt.errors import InputError

HOSTS_MAX = 200_000
"""More hosts than this in one list are a slip of the keyboard, not a cluster."""

_PIECE = re.compile(r"\[([^\[\]]*)\]|([^\[\],]+)")
_RANGE = re.compile(r"^(\d{1,18})(?:-(\d{1,18}))?$")


def _ranges(inside: str) -> list[tuple[int, int, int]]:
    """(low, high, width) of each range between brackets."""
    found = []
    for part in inside.split(","):
        match = _RANGE.match(part)
        if match is None:
            raise InputError(f"bad range {part!r}, wanted NUMBER or LOW-HIGH")
        low, high = int(match[1]), int(match[2] or match[1])
        if high < low:
            raise InputError(f"bad range {part!r}: it runs backwards")
        found.append((low, high, len(match[1])))
    return found


def _split(text: str) -> Iterator[str]:
    """Parts between commas that are outside brackets."""
    depth, start = 0, 0
    for i, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if not 0 <= depth <= 1:
            raise InputError(f"brackets of {text[:60]!r} do not match or are inside one another")
        if letter == "," and not depth:
            yield text[start:i]
            start = i + 1
    if depth:
        raise InputError(f"brackets of {text[:60]!r} do not match")
    yield text[start:]


def expand_hostlist(text: str, *, hosts_max: int = HOSTS_MAX) -> tuple[str, ...]:
    """Hosts that a list names, in its order, repeats kept.

    Args:
        text: the list; spaces are not part of one.
        hosts_max: bound on the result, checked before anything is expanded.

    Raises:
        InputError: empty part, bad range, brackets that do not match, or more hosts than allowed.

    Example:
        >>> expand_hostlist("n[08-10,2],r[0-1]x[5]")
        ('n08', 'n09', 'n10', 'n2', 'r0x5', 'r1x5')
    """
    hosts: list[str] = []
    for part in _split(text):
        if not part or any(letter.isspace() for letter in part):
            raise InputError(f"host list {text[:60]!r} has an empty part or a space")
        pieces: list[list[tuple[int, int, int]] | str] = [
            match[2] if match[2] is not None else _ranges(match[1])
            for match in _PIECE.finditer(part)
        ]
        count = prod(
            1 if isinstance(p, str) else sum(high - low + 1 for low, high, _ in p) for p in pieces
        )
        if len(hosts) + count > hosts_max:
            raise InputError(
                f"host list {part[:60]!r} names {len(hosts) + count} hosts, at most {hosts_max}"
            )
        choices = [
            [p]
            if isinstance(p, str)
            else [f"{n:0{width}d}" for low, high, width in p for n in range(low, high + 1)]
            for p in pieces
        ]
        hosts += ["".join(choice) for choice in product(*choices)]
    return tuple(hosts)
