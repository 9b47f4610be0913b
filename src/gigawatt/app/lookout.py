"""Who is lost, judged by words that stand still, on a clock that only goes forward."""

from collections.abc import Hashable, Mapping


class Lookout:
    """Remembers for how long each name has said the same.

    Between two looks at most ``step_s_max`` counts, because in a longer pause this process, the
    machine or the database stood still, and nobody could have said anything.
    """

    def __init__(self, lost_s: float, step_s_max: float) -> None:
        """A name is lost when it has said the same for ``lost_s`` seconds of looking."""
        self._lost_s = lost_s
        self._step_s_max = step_s_max
        self._said: dict[str, tuple[Hashable, float]] = {}
        self._at_s: float | None = None

    def look(self, said: Mapping[str, Hashable], at_s: float) -> frozenset[str]:
        """The names that are lost, after hearing what all say at a moment of a monotonic clock."""
        passed_s = 0.0 if self._at_s is None else min(at_s - self._at_s, self._step_s_max)
        self._at_s = at_s
        heard: dict[str, tuple[Hashable, float]] = {}
        for name, word in said.items():
            before, unchanged_s = self._said.get(name, (None, 0.0))
            heard[name] = (word, unchanged_s + passed_s if before == word else 0.0)
        self._said = heard
        return frozenset(
            name for name, (_, unchanged_s) in heard.items() if unchanged_s >= self._lost_s
        )
