"""The whole chain for a fleet that trains: power, tokens, joules and dollars by node type."""

from dataclasses import dataclass

from gigawatt.economics.chain.energy import (
    EnergyBalance,
    LoadAssumption,
    PowerPath,
    chip_of_node,
    energy_balance,
    fleet_loads,
    total_load,
)
from gigawatt.economics.chain.layout import fastest_run
from gigawatt.economics.chain.ledger import BOUNDARIES, FlopRung
from gigawatt.economics.chain.silicon import Precision, silicon_of
from gigawatt.economics.chain.training import (
    TrainingEfficiency,
    TrainingRate,
    TrainingRun,
    training_rate,
)
from gigawatt.economics.html import html_table
from gigawatt.economics.models.llm import LanguageModel
from gigawatt.economics.quantities import check_positive
from gigawatt.errors import InputError, NoCapacityError
from gigawatt.fleet.model import Fleet, NodeType
from gigawatt.units import HOUR_S


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What is trained and under which assumptions.

    Fields:
        shape, precision: language model and number format of multiplications, fp8 or bf16.
        path: how power reaches the computers.
        assumption: power in service.
        cost_usd_per_gpu_hour: for every GPU type alike.
    """

    shape: LanguageModel
    precision: Precision
    path: PowerPath
    assumption: LoadAssumption
    cost_usd_per_gpu_hour: float

    def __post_init__(self) -> None:
        """Refuse free GPUs, and a number format that no published run holds us to."""
        check_positive("cost_usd_per_gpu_hour", self.cost_usd_per_gpu_hour)
        if self.precision is Precision.FP4:
            raise InputError(
                "precision is 'fp4', wanted fp8 or bf16: no published training to check it against"
            )


@dataclass(frozen=True, slots=True)
class TrainingLedger:
    """What is trained, and what it costs.

    Fields:
        run: the job, on as many GPUs of the type as the fastest layout divides.
        rate: of the job.
        ladder: where the step's time goes.
        joules_per_trained_llm_token: by boundary.
        cost_usd_per_million_trained_llm_tokens: all GPUs of the type.
    """

    run: TrainingRun
    rate: TrainingRate
    ladder: tuple[FlopRung, ...]
    joules_per_trained_llm_token: dict[str, float]
    cost_usd_per_million_trained_llm_tokens: float

    def _repr_html_(self) -> str:
        """Tokens, joules and dollars, for notebooks."""
        rows: list[list[object]] = [
            ["GPUs of the job", self.run.gpu_count],
            ["trained tokens/s", self.rate.llm_tokens_per_s],
            ["MFU", self.rate.mfu_share],
        ]
        rows += [[f"J a token, {n}", j] for n, j in self.joules_per_trained_llm_token.items()]
        rows.append(["USD a million trained tokens", self.cost_usd_per_million_trained_llm_tokens])
        rows += [[f"time, {rung.name}", rung.time_share] for rung in self.ladder]
        return html_table(f"Training {self.run.shape.name}", ["", "value"], rows)


@dataclass(frozen=True, slots=True)
class TypeTraining:
    """One node type of the fleet.

    Fields:
        node_type, accelerator: names.
        gpu_count: GPUs of the type.
        peak_flop_per_s: dense peak of all of them at the precision.
        balance: power of these nodes and what belongs to them.
        ledger: tokens, joules, dollars; None where the language model cannot be trained.
        reason: why not, else empty.
    """

    node_type: str
    accelerator: str
    gpu_count: int
    peak_flop_per_s: float
    balance: EnergyBalance
    ledger: TrainingLedger | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FleetTraining:
    """The chain of a fleet that trains; each node type is a job of its own.

    Fields:
        balance: of all nodes.
        types: by node type.
    """

    balance: EnergyBalance
    types: tuple[TypeTraining, ...]

    def rows(self) -> list[dict[str, object]]:
        """One mapping a node type, for tables; what is not trained has empty cells."""
        found: list[dict[str, object]] = []
        for part in self.types:
            ledger = part.ledger
            joules = ledger.joules_per_trained_llm_token if ledger else {}
            found.append(
                {
                    "node_type": part.node_type,
                    "gpu_count": part.gpu_count,
                    "peak_pflop_per_s": part.peak_flop_per_s / 1e15,
                    "facility_w": part.balance.power_w("facility"),
                    "mfu_share": ledger.rate.mfu_share if ledger else None,
                    "trained_llm_tokens_per_s": ledger.rate.llm_tokens_per_s if ledger else None,
                    "facility_j_per_trained_llm_token": joules.get("facility"),
                    "source_j_per_trained_llm_token": joules.get("source"),
                    "cost_usd_per_million_trained_llm_tokens": (
                        ledger.cost_usd_per_million_trained_llm_tokens if ledger else None
                    ),
                    "step_time_shares": {r.name: r.time_share for r in ledger.ladder}
                    if ledger
                    else None,
                    "reason": part.reason,
                }
            )
        return found


def _ladder(rate: TrainingRate, run: TrainingRun) -> tuple[FlopRung, ...]:
    """Shares of one step; only the useful one counts, reached at the fitted share of the peak."""
    step, peak = rate.step, run.silicon.peak(run.precision)
    idle_s = step.compute_s - min(step.compute_s, rate.mfu_share * step.total_s)
    parts = {
        "useful": step.compute_s - idle_s,
        "multiplications below peak": idle_s,
        "recompute": step.recompute_s,
        "norms and activations": step.pointwise_s,
        "exchange in tensor groups": step.tensor_link_s,
        "exchange with experts": step.expert_link_s,
        "exchange of gradients": step.data_link_s,
        "optimiser": step.optimiser_s,
        "pipeline bubble": step.bubble_s,
    }
    whole_s = step.total_s
    return tuple(FlopRung(n, s / whole_s, peak * s / whole_s) for n, s in parts.items())


def training_ledger(
    run: TrainingRun,
    efficiency: TrainingEfficiency,
    cost_usd_per_hour: float,
    balance: EnergyBalance,
) -> TrainingLedger:
    """Tokens, joules and dollars of a training job.

    Args:
        run: the job.
        efficiency: what is reached of the limits.
        cost_usd_per_hour: of all GPUs that are paid for, also of those the layout leaves idle; > 0.
        balance: power of exactly these and what belongs to them.
    """
    check_positive("cost_usd_per_hour", cost_usd_per_hour)
    # Attention is counted where the causal mask leaves it, so that useful work is work done.
    rate = training_rate(run, efficiency, run.executed_attention_share)
    total = rate.llm_tokens_per_s
    return TrainingLedger(
        run,
        rate,
        _ladder(rate, run),
        {name: balance.power_w(name) / total for name in BOUNDARIES},
        cost_usd_per_hour / HOUR_S / total * 1e6,
    )


def _type_training(
    node_type: NodeType,
    gpu_count: int,
    balance: EnergyBalance,
    request: TrainingRequest,
    efficiency: TrainingEfficiency,
) -> TypeTraining:
    chip = chip_of_node(node_type)
    silicon = silicon_of(chip)
    peak = silicon.peak(request.precision) * gpu_count
    try:
        run = fastest_run(request.shape, silicon, request.precision, gpu_count, efficiency)
    except NoCapacityError as error:
        return TypeTraining(node_type.name, chip.name, gpu_count, peak, balance, None, str(error))
    hourly = request.cost_usd_per_gpu_hour * gpu_count
    ledger = training_ledger(run, efficiency, hourly, balance)
    return TypeTraining(node_type.name, chip.name, gpu_count, peak, balance, ledger)


def fleet_training(
    fleet: Fleet, request: TrainingRequest, efficiency: TrainingEfficiency
) -> FleetTraining:
    """The chain of a fleet whose every node type trains one language model.

    Raises:
        InputError: the fleet has a node type that the catalogue does not know.
    """
    loads = fleet_loads(fleet, request.assumption)
    counts = {node_type.name: 0 for node_type in fleet.node_types}
    for index in fleet.nodes.type.tolist():
        counts[fleet.node_types[index].name] += fleet.node_types[index].gpu_count
    types = tuple(
        _type_training(
            node_type,
            counts[node_type.name],
            energy_balance(request.path, loads[node_type.name]),
            request,
            efficiency,
        )
        for node_type in fleet.node_types
        if node_type.name in loads
    )
    return FleetTraining(energy_balance(request.path, total_load(loads.values())), types)
