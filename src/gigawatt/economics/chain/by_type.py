"""A chain by node type, whatever the GPUs do: serving and training share this one record."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from gigawatt.economics.chain.energy import (
    EnergyBalance,
    LoadAssumption,
    PowerPath,
    chip_of_node,
    energy_balance,
    loads_of,
    total_load,
)
from gigawatt.economics.chain.silicon import Precision, Silicon, silicon_of
from gigawatt.errors import NoCapacityError, UnknownIdError
from gigawatt.fleet.model import Fleet


class Ledger(Protocol):
    """What comes out of the GPUs of one node type, and what it costs."""

    def row(self) -> dict[str, object]:
        """Figures by name with its unit, for tables."""
        ...


L = TypeVar("L", bound=Ledger)
"""The ledger of serving, or the one of training."""


@dataclass(frozen=True, slots=True)
class TypeChain(Generic[L]):
    """One node type of the fleet.

    Fields:
        node_type, accelerator: names.
        gpu_count: GPUs of the type.
        peak_flop_per_s: dense peak of all of them at the precision.
        balance: power of these nodes and what belongs to them.
        ledger: tokens, joules, dollars; None where the language model does not fit.
        reason: why not, else empty.
    """

    node_type: str
    accelerator: str
    gpu_count: int
    peak_flop_per_s: float
    balance: EnergyBalance
    ledger: L | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FleetChain(Generic[L]):
    """The chain of a fleet, or of one of its sites.

    Fields:
        balance: of all nodes.
        types: by node type.
    """

    balance: EnergyBalance
    types: tuple[TypeChain[L], ...]

    def rows(self) -> list[dict[str, object]]:
        """One mapping a node type, for tables; what does not fit has empty cells and a reason."""
        figures = [{} if part.ledger is None else part.ledger.row() for part in self.types]
        names = next((list(row) for row in figures if row), [])
        return [
            {
                "node_type": part.node_type,
                "gpu_count": part.gpu_count,
                "peak_pflop_per_s": part.peak_flop_per_s / 1e15,
                "facility_w": part.balance.power_w("facility"),
                **{name: row.get(name) for name in names},
                "reason": part.reason,
            }
            for part, row in zip(self.types, figures, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Supply:
    """How power arrives and what it drives.

    Fields:
        path: how power reaches the computers.
        assumption: power in service.
        precision: number format whose dense peak counts.
    """

    path: PowerPath
    assumption: LoadAssumption
    precision: Precision


def node_counts(fleet: Fleet, site_id: str | None = None) -> list[int]:
    """Nodes by node type, in the fleet's order; of one site where it is named.

    Raises:
        UnknownIdError: the fleet has no such site.
    """
    of_type = fleet.nodes.type
    if site_id is not None:
        if site_id not in fleet.sites.index_of:
            known = ", ".join(fleet.sites.ids)
            raise UnknownIdError(f"no site {site_id!r}", next_step=f"Sites: {known}.")
        of_type = of_type[fleet.site_of_node == fleet.sites.index_of[site_id]]
    counts: list[int] = np.bincount(of_type, minlength=len(fleet.node_types)).tolist()
    return counts


def chain_by_type(
    fleet: Fleet,
    site_id: str | None,
    supply: Supply,
    ledger_of: Callable[[Silicon, int, EnergyBalance], L],
) -> FleetChain[L]:
    """The chain of a fleet, or of one of its sites.

    Args:
        fleet: what exists.
        site_id: one site alone; None for all.
        supply: power, and the number format of the peak.
        ledger_of: what GPUs of a type, so many of them, bring at this power.

    Raises:
        InputError: the fleet has a node type that the catalogue does not know.
        UnknownIdError: the fleet has no such site.
    """
    counts = node_counts(fleet, site_id)
    loads = loads_of(fleet.node_types, counts, supply.assumption)
    parts: list[TypeChain[L]] = []
    for node_type, count in zip(fleet.node_types, counts, strict=True):
        if not count:
            continue
        chip = chip_of_node(node_type)
        silicon, gpu_count = silicon_of(chip), count * node_type.gpu_count
        balance = energy_balance(supply.path, loads[node_type.name])
        ledger, reason = None, ""
        try:
            ledger = ledger_of(silicon, gpu_count, balance)
        except NoCapacityError as error:
            reason = str(error)
        peak = silicon.peak(supply.precision) * gpu_count
        parts.append(TypeChain(node_type.name, chip.name, gpu_count, peak, balance, ledger, reason))
    return FleetChain(energy_balance(supply.path, total_load(loads.values())), tuple(parts))
