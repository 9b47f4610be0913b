"""The event log of a replay: what happened when, in lines whose hash names the run."""

from collections import Counter
from hashlib import blake2b
from typing import TextIO


class EventLog:
    """Lines of ``seconds kind details``, appended and hashed; equal runs have equal digests.

    Attributes:
        counts: lines by kind.
        line_count: lines so far.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Start empty; lines also go to ``stream`` if there is one."""
        self.counts: Counter[str] = Counter()
        self.line_count = 0
        self._stream = stream
        self._state = blake2b(digest_size=16)

    def add(self, at_s: float, kind: str, details: str = "") -> None:
        """Append what happened at virtual second ``at_s``."""
        line = f"{at_s:.6f} {kind} {details}\n"
        self.counts[kind] += 1
        self.line_count += 1
        self._state.update(line.encode())
        if self._stream is not None:
            self._stream.write(line)

    @property
    def digest(self) -> str:
        """Hash (BLAKE2b, 128 bits) of all lines so far."""
        return self._state.copy().hexdigest()
