"""Power from photons or gas to the parts of computers, with the loss at every stage.

The balance is a tree: what goes into a stage is what comes out of it, useful or lost. Nothing is
left over, whatever the inputs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isclose

from gigawatt.economics.html import html_table
from gigawatt.economics.quantities import check_positive, check_range, check_share
from gigawatt.errors import InputError
from gigawatt.fleet.catalogue import Accelerator, accelerator, node_types
from gigawatt.fleet.model import NodeType

PLANT_EFFICIENCY_SHARE = {
    "grid": 1.0,
    "gas-combined-cycle": 0.54,
    "gas-turbine": 0.38,
    "gas-engine": 0.45,
    "solar": 0.21,
}
"""Net electrical output over heat of the gas (higher heating value) or light on the panel.

Source: round values for new plants, confidence low; grid counts from the meter. Every value is an
input."""


@dataclass(frozen=True, slots=True)
class PowerPath:
    """How power reaches the computers.

    Fields:
        plant_efficiency_share: electricity over heat or light, above 0 to 1.
        delivery_efficiency_share: at the facility's meter over at the plant, above 0 to 1.
        pue: facility power over IT power, 1 or more.
    """

    plant_efficiency_share: float = 1.0
    delivery_efficiency_share: float = 1.0
    pue: float = 1.25

    def __post_init__(self) -> None:
        """Refuse a path that makes energy."""
        for field in ("plant_efficiency_share", "delivery_efficiency_share"):
            check_share(field, getattr(self, field), is_zero_allowed=False)
        check_range("pue", self.pue, 1.0, 10.0)


@dataclass(frozen=True, slots=True)
class ItLoad:
    """Power of the parts of the computers, in W.

    Fields:
        gpu_w: accelerators with their memory.
        host_w: CPUs, fans, power supplies, NICs in the nodes.
        network_w: switches and optics.
        storage_w: file systems.
    """

    gpu_w: float
    host_w: float
    network_w: float
    storage_w: float

    def __post_init__(self) -> None:
        """Refuse negative power."""
        for field in ("gpu_w", "host_w", "network_w", "storage_w"):
            check_range(field, getattr(self, field), 0.0)
        check_positive("it_load_w", self.total_w)

    @property
    def total_w(self) -> float:
        """W of all parts."""
        return self.gpu_w + self.host_w + self.network_w + self.storage_w


@dataclass(frozen=True, slots=True)
class PowerStage:
    """One branch of the tree.

    Fields:
        name: what it is.
        parent: name of the stage that feeds it; empty for the source.
        power_w: W that go into it.
        is_loss: True where the power ends as heat without having computed.
    """

    name: str
    parent: str
    power_w: float
    is_loss: bool


@dataclass(frozen=True, slots=True)
class EnergyBalance:
    """The tree of stages, source first.

    Fields:
        stages: every branch.
    """

    stages: tuple[PowerStage, ...]

    def __post_init__(self) -> None:
        """Energy is conserved at every stage; anything else is our own bug."""
        for stage in self.stages:
            parts = [child.power_w for child in self.children(stage.name)]
            assert not parts or isclose(sum(parts), stage.power_w, rel_tol=1e-9), stage.name

    def children(self, name: str) -> Iterator[PowerStage]:
        """Branches that a stage feeds, in order."""
        return (stage for stage in self.stages if stage.parent == name)

    def power_w(self, name: str) -> float:
        """W that go into a stage.

        Raises:
            InputError: there is no such stage.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage.power_w
        raise InputError(f"no stage {name!r} in the balance")

    @property
    def source_w(self) -> float:
        """W of heat, light or grid power that all starts from."""
        return self.stages[0].power_w

    def rows(self) -> list[dict[str, object]]:
        """One mapping a stage, for tables: W, share of the source, share of what feeds it."""
        fed = {stage.name: stage.power_w for stage in self.stages}
        return [
            {
                "stage": stage.name,
                "fed_by": stage.parent,
                "power_w": stage.power_w,
                "source_share": stage.power_w / self.source_w,
                "parent_share": stage.power_w / fed.get(stage.parent, stage.power_w),
                "is_loss": stage.is_loss,
            }
            for stage in self.stages
        ]

    def _repr_html_(self) -> str:
        """Power and share of the source by stage, for notebooks."""
        rows: list[list[object]] = [
            [s.name, s.parent, s.power_w, s.power_w / self.source_w, "loss" if s.is_loss else ""]
            for s in self.stages
        ]
        return html_table("Power by stage", ["stage", "fed by", "W", "of source", ""], rows)


def energy_balance(path: PowerPath, load: ItLoad) -> EnergyBalance:
    """The tree from the source to the parts of the computers, worked back from their load.

    Example:
        >>> path = PowerPath(plant_efficiency_share=0.5, pue=1.25)
        >>> energy_balance(path, ItLoad(700.0, 300.0, 0.0, 0.0)).source_w
        2500.0
    """
    facility_w = load.total_w * path.pue
    plant_w = facility_w / path.delivery_efficiency_share
    source_w = plant_w / path.plant_efficiency_share
    stages = (
        PowerStage("source", "", source_w, is_loss=False),
        PowerStage("plant loss", "source", source_w - plant_w, is_loss=True),
        PowerStage("plant output", "source", plant_w, is_loss=False),
        PowerStage("delivery loss", "plant output", plant_w - facility_w, is_loss=True),
        PowerStage("facility", "plant output", facility_w, is_loss=False),
        PowerStage("cooling and distribution", "facility", facility_w - load.total_w, is_loss=True),
        PowerStage("IT", "facility", load.total_w, is_loss=False),
        PowerStage("storage", "IT", load.storage_w, is_loss=False),
        PowerStage("network", "IT", load.network_w, is_loss=False),
        PowerStage("hosts", "IT", load.host_w, is_loss=False),
        PowerStage("GPUs", "IT", load.gpu_w, is_loss=False),
    )
    return EnergyBalance(stages)


def chip_of_node(node_type: NodeType) -> Accelerator:
    """The accelerator in nodes of a type.

    Raises:
        InputError: the catalogue does not know the node type.
    """
    for row in node_types():
        if row.node_type.name == node_type.name:
            return accelerator(row.accelerator)
    raise InputError(f"the catalogue has no node type {node_type.name!r}")


def gpu_share_of_node(node_type: NodeType) -> float:
    """Share of a node's power that its accelerators draw: TDP over the maker's maximum.

    Raises:
        InputError: the catalogue has no TDP for the node type.
    """
    tdp_w = chip_of_node(node_type).tdp_w
    if tdp_w is None:
        raise InputError(f"the catalogue has no TDP of the accelerators of {node_type.name!r}")
    return min(1.0, tdp_w * node_type.gpu_count / node_type.power_w_max)


@dataclass(frozen=True, slots=True)
class LoadAssumption:
    """How a node's maximum becomes power in service, and what stands beside the nodes.

    Fields:
        load_share: power of a node over its maximum, above 0 to 1.
        network_w_per_gpu: W of switches and optics for each GPU.
        storage_w_per_gpu: W of file systems for each GPU.
    """

    load_share: float = 0.645
    network_w_per_gpu: float = 70.0
    storage_w_per_gpu: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the field."""
        check_share("load_share", self.load_share, is_zero_allowed=False)
        check_range("network_w_per_gpu", self.network_w_per_gpu, 0.0)
        check_range("storage_w_per_gpu", self.storage_w_per_gpu, 0.0)


def loads_of(
    node_types: Sequence[NodeType], counts: Sequence[int], assumption: LoadAssumption
) -> dict[str, ItLoad]:
    """Power of the parts of so many nodes by name of the node type; types without nodes have none.

    Args:
        node_types: the fleet's.
        counts: nodes of each, in the same order.
        assumption: power in service.

    Raises:
        InputError: a node type is not in the catalogue.
    """
    loads = {}
    for node_type, count in zip(node_types, counts, strict=True):
        if not count:
            continue
        node_w = node_type.power_w_max * assumption.load_share * count
        share = gpu_share_of_node(node_type)
        gpus = float(node_type.gpu_count * count)
        loads[node_type.name] = ItLoad(
            node_w * share,
            node_w * (1.0 - share),
            gpus * assumption.network_w_per_gpu,
            gpus * assumption.storage_w_per_gpu,
        )
    return loads


def total_load(loads: Iterable[ItLoad]) -> ItLoad:
    """Power of all loads together."""
    parts = list(loads)
    return ItLoad(
        sum(load.gpu_w for load in parts),
        sum(load.host_w for load in parts),
        sum(load.network_w for load in parts),
        sum(load.storage_w for load in parts),
    )
