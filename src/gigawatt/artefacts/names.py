"""Names as the tenant's tools can read them: safe words and hostlists."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter

from gigawatt.errors import InputError

WORD_LENGTH_MAX = 63
"""Longest Kubernetes label value (kubernetes.io/docs/concepts/overview/working-with-objects)."""


def checked_label(name: str, what: str) -> str:
    """``name``, if it is a lower-case RFC 1123 label, which needs quoting in none of the files.

    Raises:
        InputError: it is not; a file made with it could say something else than was meant.
    """
    body = name.replace("-", "a")
    is_word = body.isascii() and body.isalnum() and name == name.lower()
    if not is_word or len(name) > WORD_LENGTH_MAX or "-" in {name[0], name[-1]}:
        raise InputError(f"{what} {name!r} is not a lower-case RFC 1123 label")
    return name


def safe_word(name: str) -> str:
    """``name`` as one word of letters, digits, ``-``, ``_`` and ``.`` that starts and ends plainly.

    A name that has to be changed gets a hash of itself, so that different names stay different.

    Example:
        >>> safe_word("h-su003")
        'h-su003'
        >>> safe_word("leaf [3]")
        'leaf--3x-b80c8a'
    """
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)
    is_plain = kept == name and name[:1].isalnum() and name[-1:].isalnum()
    if is_plain and len(name) <= WORD_LENGTH_MAX:
        return name
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()
    return f"{kept.strip('-_.')[: WORD_LENGTH_MAX - 10]}x-{digest}"


def distinct_words(names: Sequence[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A safe word for every name, none twice and none of ``taken``; in order."""
    used = set(taken)
    words: dict[str, str] = {}
    for name in names:
        word, number = safe_word(name), 1
        while word in used:
            number += 1
            word = f"{safe_word(name)[: WORD_LENGTH_MAX - 5]}-{number}"
        used.add(word)
        words[name] = word
    return words


def _split(name: str) -> tuple[str, str]:
    stem = name.rstrip("0123456789")
    return stem, name[len(stem) :]


def hostlist(names: Sequence[str]) -> str:
    """Names as a Slurm hostlist, in their order: runs of numbers are put in brackets.

    Source: Slurm, slurm.conf(5), "NodeName".

    Example:
        >>> hostlist(["a-08", "a-09", "a-10", "a-12", "b-1"])
        'a-[08-10,12],b-1'
    """
    parts = []
    for (stem, width), group in groupby(
        (_split(name) for name in names), key=lambda part: (part[0], len(part[1]))
    ):
        digits = [number for _, number in group]
        if width == 0:
            parts.extend([stem] * len(digits))
            continue
        runs = _runs([int(number) for number in digits])
        spans = [f"{a:0{width}d}" if a == b else f"{a:0{width}d}-{b:0{width}d}" for a, b in runs]
        is_single = len(digits) == 1
        parts.append(stem + spans[0] if is_single else f"{stem}[{','.join(spans)}]")
    return ",".join(parts)


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of every run of consecutive numbers."""
    runs = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = list(map(itemgetter(1), group))
        runs.append((run[0], run[-1]))
    return runs
