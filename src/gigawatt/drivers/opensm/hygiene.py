"""Keys of a subnet: what ``opensm.conf`` must say so that a tenant's host cannot act as a manager.

P_Keys keep tenants apart only as long as nobody but the manager writes them. On real hardware the
M_Key guards the ports' tables, the SM_Key the election of managers, the SA_Key what trusted
queries tell. ibsim honours no M_Key: what is judged here is the file, never the hardware.

Source: opensm(8) of 3.3.23, "MKEY CONFIGURATION" and the options that ``opensm -c`` writes;
``allowed_sm_guids`` and ``m_key_per_port`` are options of NVIDIA's build alone (``osm_subn_opt_t``
of MLNX_OFED), which 3.3.23 of Debian ignores without a word.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import override

from gigawatt.errors import InputError

Build = Literal["upstream", "nvidia"]

KEY_BITS_MIN = 32
"""A key whose upper half is zero is made up by a person and guessed by a program. Ours."""
LEASE_PER_SWEEP_MIN = 3
"""opensm(8): the lease "should be a few multiples of the subnet sweep time"."""
_FALSE, _TRUE = "FALSE", "TRUE"

DEFAULTS: Mapping[str, str] = {
    "guid": "0x0",
    "m_key": "0x0",
    "m_key_lease_period": "0",
    "m_key_protection_level": "0",
    "sm_key": "0x1",
    "sa_key": "0x1",
    "partition_config_file": "/etc/opensm/partitions.conf",
    "no_partition_enforcement": _FALSE,
    "part_enforce": "both",
    "allow_both_pkeys": _FALSE,
    "sweep_interval": "10",
    "sweep_on_trap": _TRUE,
    "ignore_other_sm": _FALSE,
    "console": "off",
    "allowed_sm_guids": "(null)",
    "m_key_per_port": _FALSE,
}
"""What OpenSM takes where the file is silent; as ``opensm -c`` of 3.3.23 writes it."""


@dataclass(frozen=True, slots=True)
class HygieneFinding:
    """One thing that is wrong: the rule's name, the line (0: nowhere, the default holds), why."""

    rule: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class SubnetKeys:
    """The secrets of one subnet, 64 bits each and none twice; they are shown to nobody."""

    m_key: int
    sm_key: int
    sa_key: int

    def __post_init__(self) -> None:
        """Refuse keys that guard nothing.

        Raises:
            InputError: a key is short, or two are the same.
        """
        keys = (self.m_key, self.sm_key, self.sa_key)
        if len(set(keys)) < len(keys):
            raise InputError("M_Key, SM_Key and SA_Key have to differ from each other")
        if not all(1 << KEY_BITS_MIN <= key < 1 << 64 for key in keys):
            raise InputError(f"a key has more than {KEY_BITS_MIN} and at most 64 bits")

    @override
    def __repr__(self) -> str:
        """Without the keys."""
        return "SubnetKeys(...)"


def render_options(
    keys: SubnetKeys,
    partitions_conf: Path,
    manager_guids: Collection[int],
    *,
    build: Build = "upstream",
    sweep_interval_s: int = 10,
) -> str:
    """The lines of ``opensm.conf`` that keep a subnet; the rest of the file is the operator's.

    Args:
        keys: the subnet's.
        partitions_conf: the file that the driver writes.
        manager_guids: ports of all managers, the master and every standby; not empty.
        build: which OpenSM reads it.
        sweep_interval_s: seconds between two sweeps, >= 1.

    Raises:
        InputError: no manager is named, or there is no sweep.
    """
    if not manager_guids or sweep_interval_s < 1:
        raise InputError("a subnet has a manager that sweeps; name its port and an interval")
    options = {
        "m_key": f"{keys.m_key:#018x}",
        "m_key_protection_level": "2",
        "m_key_lease_period": str(LEASE_PER_SWEEP_MIN * sweep_interval_s),
        "sm_key": f"{keys.sm_key:#018x}",
        "sa_key": f"{keys.sa_key:#018x}",
        "partition_config_file": str(partitions_conf),
        "part_enforce": "both",
        "no_partition_enforcement": _FALSE,
        "allow_both_pkeys": _FALSE,
        "sweep_interval": str(sweep_interval_s),
        "sweep_on_trap": _TRUE,
        "ignore_other_sm": _FALSE,
        "console": "off",
    }
    if build == "nvidia":
        options["allowed_sm_guids"] = ",".join(f"{guid:#018x}" for guid in sorted(manager_guids))
        options["m_key_per_port"] = _TRUE
    return "".join(f"{name} {value}\n" for name, value in options.items())


@dataclass(frozen=True, slots=True)
class _Options:
    """What a file says, with the line of each option; the last one counts, as for OpenSM."""

    values: Mapping[str, tuple[str, int]]
    partitions_conf: Path | None
    build: Build

    def text(self, name: str) -> str:
        return self.values.get(name, (DEFAULTS[name], 0))[0]

    def line(self, name: str) -> int:
        return self.values.get(name, ("", 0))[1]

    def number(self, name: str) -> int:
        """The value as OpenSM's ``strtoull`` reads it; -1 for what is none."""
        try:
            return int(self.text(name), 0)
        except ValueError:
            return -1

    def is_true(self, name: str) -> bool:
        return self.text(name).upper() == _TRUE


def _m_key(options: _Options) -> str | None:
    if options.number("m_key") <= 0:
        return "no M_Key: any host may rewrite the P_Key table of any port"
    return None


def _protection(options: _Options) -> str | None:
    level = options.number("m_key_protection_level")
    if level >= 2:
        return None
    return f"protection level {level}: " + (
        "any host reads the M_Key itself" if level < 1 else "any host reads the tables of all ports"
    )


def _lease(options: _Options) -> str | None:
    lease, sweep = options.number("m_key_lease_period"), options.number("sweep_interval")
    if lease == 0:
        return "no lease: a port whose M_Key is lost answers no manager until it is reset"
    if lease < LEASE_PER_SWEEP_MIN * sweep:
        return (
            f"lease {lease} s with a sweep every {sweep} s: a manager that is busy for longer"
            f" exposes the M_Key, wanted {LEASE_PER_SWEEP_MIN} sweeps or more"
        )
    return None


def _sm_key(options: _Options) -> str | None:
    if options.number("sm_key") in {-1, 0, 1}:
        return "the SM_Key is OpenSM's own default: any other manager may take the subnet over"
    return None


def _sa_key(options: _Options) -> str | None:
    if options.number("sa_key") in {-1, 0, 1}:
        return "the SA_Key is OpenSM's own default: any host's queries are trusted"
    return None


def _weak(options: _Options) -> str | None:
    keys = [options.number(name) for name in ("m_key", "sm_key", "sa_key")]
    set_keys = [key for key in keys if key > 1]
    if len(set(set_keys)) < len(set_keys):
        return "two of M_Key, SM_Key and SA_Key are the same: who learns one has both"
    if any(key < 1 << KEY_BITS_MIN for key in set_keys):
        return f"a key has no more than {KEY_BITS_MIN} bits and can be guessed"
    return None


def _enforcement(options: _Options) -> str | None:
    if options.is_true("no_partition_enforcement"):
        return "switches do not enforce partitions: hosts are trusted to drop"
    enforced = options.text("part_enforce")
    return None if enforced == "both" else f"switches enforce {enforced!r} only, wanted 'both'"


def _both_p_keys(options: _Options) -> str | None:
    if options.is_true("allow_both_pkeys"):
        return "a port may be full and limited at once: its limited membership means nothing"
    return None


def _partitions_file(options: _Options) -> str | None:
    found = options.text("partition_config_file")
    if options.partitions_conf is not None and found != str(options.partitions_conf):
        return f"it reads {found}, the driver writes {options.partitions_conf}"
    return None


def _sweep(options: _Options) -> str | None:
    if options.number("sweep_interval") <= 0 and not options.is_true("sweep_on_trap"):
        return "neither an interval nor a trap makes it sweep: a port that comes back has no P_Keys"
    return None


def _other_managers(options: _Options) -> str | None:
    if options.is_true("ignore_other_sm"):
        return "it ignores other managers: two masters rewrite each other's tables"
    return None


def _console(options: _Options) -> str | None:
    if options.text("console") == "socket":
        return "its console answers on the network, to anybody"
    return None


def _allowed_managers(options: _Options) -> str | None:
    said = options.text("allowed_sm_guids")
    if options.build == "nvidia" and said in {"(null)", ""}:
        return "any port may become a manager; name the managers' ports"
    if options.build == "upstream" and "allowed_sm_guids" in options.values:
        return "this OpenSM ignores allowed_sm_guids; only the SM_Key keeps other managers out"
    return None


def _key_per_port(options: _Options) -> str | None:
    is_said = options.is_true("m_key_per_port")
    if options.build == "nvidia" and not is_said:
        return "one M_Key for all ports: who learns that of a port has them all"
    if options.build == "upstream" and is_said:
        return "this OpenSM ignores m_key_per_port; all ports have one M_Key"
    return None


_RULES: Mapping[str, tuple[str, Callable[[_Options], str | None]]] = {
    "m_key": ("m_key", _m_key),
    "m_key_protection": ("m_key_protection_level", _protection),
    "m_key_lease": ("m_key_lease_period", _lease),
    "sm_key": ("sm_key", _sm_key),
    "sa_key": ("sa_key", _sa_key),
    "weak_key": ("m_key", _weak),
    "partition_enforcement": ("part_enforce", _enforcement),
    "both_p_keys": ("allow_both_pkeys", _both_p_keys),
    "partitions_file": ("partition_config_file", _partitions_file),
    "sweep": ("sweep_interval", _sweep),
    "other_managers": ("ignore_other_sm", _other_managers),
    "console": ("console", _console),
    "allowed_managers": ("allowed_sm_guids", _allowed_managers),
    "m_key_per_port": ("m_key_per_port", _key_per_port),
}
OPTION_RULES = tuple(_RULES)
"""Names of all rules on ``opensm.conf``."""


def lint_options(
    text: str, *, partitions_conf: Path | None = None, build: Build = "upstream"
) -> tuple[HygieneFinding, ...]:
    """What is wrong with an ``opensm.conf``; empty when all is well.

    Args:
        text: the whole file.
        partitions_conf: the file that the driver writes, if it is to be compared.
        build: which OpenSM reads it.
    """
    values = {name: (value, line) for name, value, line in _read(text)}
    options = _Options(values, partitions_conf, build)
    return tuple(
        HygieneFinding(rule, options.line(option), reason)
        for rule, (option, judge) in _RULES.items()
        if (reason := judge(options)) is not None
    )


def _read(text: str) -> Iterator[tuple[str, str, int]]:
    """Name, value and number of each line that sets something."""
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, value = line.partition("#")[0].strip().partition(" ")
        if name:
            yield name, value.strip(), number
