"""The whole chain for a fleet that trains: power, tokens, joules and dollars by node type."""

from dataclasses import dataclass

from gigawatt.economics.chain.by_type import FleetChain, Supply, chain_by_type
from gigawatt.economics.chain.energy import EnergyBalance, LoadAssumption, PowerPath
from gigawatt.economics.chain.layout import fastest_run
from gigawatt.economics.chain.ledger import BOUNDARIES, FlopRung
from gigawatt.economics.chain.silicon import Precision, Silicon
from gigawatt.economics.chain.training import (
    TrainingEfficiency,
    TrainingRate,
    TrainingRun,
    training_rate,
)
from gigawatt.economics.html import html_table
from gigawatt.economics.models.llm import LanguageModel
from gigawatt.economics.quantities import check_positive
from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet
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

    def row(self) -> dict[str, object]:
        """Figures for tables."""
        joules = self.joules_per_trained_llm_token
        return {
            "mfu_share": self.rate.mfu_share,
            "trained_llm_tokens_per_s": self.rate.llm_tokens_per_s,
            "facility_j_per_trained_llm_token": joules["facility"],
            "source_j_per_trained_llm_token": joules["source"],
            "cost_usd_per_million_trained_llm_tokens": self.cost_usd_per_million_trained_llm_tokens,
            "step_time_shares": {rung.name: rung.time_share for rung in self.ladder},
        }

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


TrainingChain = FleetChain[TrainingLedger]
"""The chain of a fleet that trains; each node type is a job of its own."""


def fleet_training(
    fleet: Fleet,
    request: TrainingRequest,
    efficiency: TrainingEfficiency,
    site_id: str | None = None,
) -> TrainingChain:
    """The chain of a fleet, or of one site, whose every node type trains one language model.

    Raises:
        InputError: the fleet has a node type that the catalogue does not know.
        UnknownIdError: the fleet has no such site.
    """

    def ledger_of(silicon: Silicon, gpu_count: int, balance: EnergyBalance) -> TrainingLedger:
        run = fastest_run(request.shape, silicon, request.precision, gpu_count, efficiency)
        hourly = request.cost_usd_per_gpu_hour * gpu_count
        return training_ledger(run, efficiency, hourly, balance)

    supply = Supply(request.path, request.assumption, request.precision)
    return chain_by_type(fleet, site_id, supply, ledger_of)
