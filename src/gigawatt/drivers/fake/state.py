"""The true state of one device, and a change of it that can be turned around."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from gigawatt.boundary.entries import Entry, PartitionMember
from gigawatt.ids import ClusterId, SwitchId
from gigawatt.interfaces.codec import TaggedEntry


@dataclass(frozen=True, slots=True)
class Held:
    """An entry that a device holds, and the cluster whose call put it there.

    Fields: owner is None for what was planted: nobody asked for it through a driver.
    """

    entry: TaggedEntry
    owner: ClusterId | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of a device beside its entries.

    Fields:
        dirty: GPU number -> cluster whose tenant ran on it since it was last cleaned (hosts).
        cleaning_count: how often a slice was cleaned (hosts).
        is_stuck_dirty: cleaning claims success and cleans nothing (hosts).
        moved_nics: GUID -> switch and switch port where the NIC really is, when that is not
            where the fleet has it (fabrics).
        used_bytes: file system -> bytes that tenants wrote into it (storage pools).
    """

    dirty: Mapping[int, ClusterId] = field(default_factory=dict)
    cleaning_count: int = 0
    is_stuck_dirty: bool = False
    moved_nics: Mapping[int, tuple[SwitchId, int]] = field(default_factory=dict)
    used_bytes: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delta:
    """A change of one device.

    Fields:
        held: new content by key, None where the key goes.
        generations: newest generation seen by cluster, None where it is forgotten.
        facts: new facts, None where they stay.
    """

    held: Mapping[str, Held | None] = field(default_factory=dict)
    generations: Mapping[ClusterId, int | None] = field(default_factory=dict)
    facts: Facts | None = None


@dataclass(slots=True)
class DeviceState:
    """What one device really holds.

    Fields:
        held: content by key.
        generations: newest generation seen, by cluster.
        facts: see ``Facts``.
        p_key_count: listed P_Keys by GUID, kept because a call may name 4,000 GUIDs.
    """

    held: dict[str, Held] = field(default_factory=dict)
    generations: dict[ClusterId, int] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    p_key_count: Counter[int] = field(default_factory=Counter)
    _entries: frozenset[Entry] | None = field(default=None, compare=False)

    @property
    def entries(self) -> frozenset[Entry]:
        """All content; kept up to date by differences, because a fabric may hold 10,000."""
        if self._entries is None:
            self._entries = frozenset(held.entry for held in self.held.values())
        return self._entries

    def copy(self) -> "DeviceState":
        """A state that does not follow this one."""
        return DeviceState(
            dict(self.held), dict(self.generations), self.facts, Counter(self.p_key_count)
        )

    def apply(self, delta: Delta) -> Delta:
        """Take the change on; returns what turns entries and generations back (facts stay)."""
        before = {key: self.held.get(key) for key in delta.held}
        if self._entries is not None:
            gone = {held.entry for held in before.values() if held is not None}
            come = {held.entry for held in delta.held.values() if held is not None}
            self._entries = (self._entries - gone) | come
        seen = {cluster: self.generations.get(cluster) for cluster in delta.generations}
        for key, new in delta.held.items():
            self._put(key, new)
        for cluster, generation in delta.generations.items():
            if generation is None:
                self.generations.pop(cluster, None)
            else:
                self.generations[cluster] = generation
        if delta.facts is not None:
            self.facts = delta.facts
        return Delta(before, seen)

    def _put(self, key: str, new: Held | None) -> None:
        old = self.held.pop(key, None) if new is None else self.held.get(key)
        if old is not None and isinstance(old.entry, PartitionMember):
            self.p_key_count[old.entry.guid] -= 1
        if new is None:
            return
        self.held[key] = new
        if isinstance(new.entry, PartitionMember):
            self.p_key_count[new.entry.guid] += 1
