"""Joules and dollars for a token: the last step of the chain.

Given an accelerator, a language model and its traffic, the power path and a price, this says how
many tokens come out, and what each costs in joules at every boundary and in dollars.
"""

from dataclasses import dataclass

from gigawatt.economics.chain.energy import EnergyBalance
from gigawatt.economics.chain.serving import (
    Engine,
    ServingEfficiency,
    ServingRate,
    Traffic,
    fastest_rate,
)
from gigawatt.economics.chain.silicon import Precision, Silicon
from gigawatt.economics.html import html_table
from gigawatt.economics.models.llm import LanguageModel
from gigawatt.economics.quantities import check_count, check_positive
from gigawatt.errors import NoCapacityError
from gigawatt.units import HOUR_S

BOUNDARIES = ("GPUs", "IT", "facility", "source")
"""Where joules are counted, narrowest first; names of stages of the balance."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is served, on how much, at what price.

    Fields:
        traffic: the requests.
        gpu_count: accelerators; they hold as many engines as fit.
        cost_usd_per_gpu_hour: full cost, or a rent; > 0.
        llm_token_s_max: s between two tokens of an answer at most; None for no limit.
    """

    traffic: Traffic
    gpu_count: int
    cost_usd_per_gpu_hour: float
    llm_token_s_max: float | None = None

    def __post_init__(self) -> None:
        """Refuse a free service and one without accelerators."""
        check_count("gpu_count", self.gpu_count)
        check_positive("cost_usd_per_gpu_hour", self.cost_usd_per_gpu_hour)


@dataclass(frozen=True, slots=True)
class FlopRung:
    """One step of the ladder from peak to useful arithmetic.

    Fields:
        name: what takes the time.
        time_share: of the engine's time.
        flop_per_s_per_gpu: FLOP/s of one accelerator that this share would do at peak.
    """

    name: str
    time_share: float
    flop_per_s_per_gpu: float


@dataclass(frozen=True, slots=True)
class TokenLedger:
    """What comes out, and what it costs.

    Fields:
        gpu_count: accelerators that serve.
        engine_gpu_count: accelerators of one engine.
        rate: of one engine.
        output_llm_tokens_per_s: of all engines.
        useful_flop_share: FLOP of the language model over dense peak, prompts included.
        ladder: where the engine's time goes in a decode pass and in prompts.
        joules_per_output_llm_token: by boundary.
        output_llm_tokens_per_joule: by boundary.
        cost_usd_per_million_output_llm_tokens: all cost on output tokens.
        output_llm_tokens_per_usd: the inverse.
    """

    gpu_count: int
    engine_gpu_count: int
    rate: ServingRate
    output_llm_tokens_per_s: float
    useful_flop_share: float
    ladder: tuple[FlopRung, ...]
    joules_per_output_llm_token: dict[str, float]
    output_llm_tokens_per_joule: dict[str, float]
    cost_usd_per_million_output_llm_tokens: float
    output_llm_tokens_per_usd: float

    def row(self) -> dict[str, object]:
        """Figures for tables."""
        joules = self.joules_per_output_llm_token
        return {
            "engine_gpu_count": self.engine_gpu_count,
            "useful_flop_share": self.useful_flop_share,
            "output_llm_tokens_per_s": self.output_llm_tokens_per_s,
            "facility_j_per_output_llm_token": joules["facility"],
            "source_j_per_output_llm_token": joules["source"],
            "output_llm_tokens_per_source_j": 1.0 / joules["source"],
            "cost_usd_per_million_output_llm_tokens": self.cost_usd_per_million_output_llm_tokens,
            "output_llm_tokens_per_usd": self.output_llm_tokens_per_usd,
            "time_shares": {rung.name: rung.time_share for rung in self.ladder},
        }

    def _repr_html_(self) -> str:
        """Tokens, joules and dollars, for notebooks."""
        rows: list[list[object]] = [
            ["GPUs", self.gpu_count],
            ["GPUs of an engine", self.engine_gpu_count],
            ["output tokens/s", self.output_llm_tokens_per_s],
            ["useful share of peak", self.useful_flop_share],
        ]
        rows += [[f"J a token, {n}", j] for n, j in self.joules_per_output_llm_token.items()]
        rows.append(["USD a million output tokens", self.cost_usd_per_million_output_llm_tokens])
        rows += [[f"time, {rung.name}", rung.time_share] for rung in self.ladder]
        return html_table("Serving: tokens, joules, dollars", ["", "value"], rows)


def smallest_engine(
    shape: LanguageModel, silicon: Silicon, precision: Precision, context: float
) -> Engine:
    """The engine with the fewest accelerators that holds weights and eight sequences.

    Raises:
        NoCapacityError: not even a whole scale-up domain, or 64 accelerators, does.
    """
    last = max(1, min(64, max(8, silicon.scale_up_count)))
    count = 1
    while count <= last:
        engine = Engine(shape, silicon, precision, count, bool(shape.expert_count) and count > 1)
        try:
            if engine.sequence_count_max(context) >= 8:
                return engine
        except NoCapacityError:
            pass
        count *= 2
    raise NoCapacityError(f"{shape.name} does not fit {last} x {silicon.name}")


def _ladder(engine: Engine, rate: ServingRate) -> tuple[FlopRung, ...]:
    """Shares of time between two tokens of one answer."""
    peak = engine.silicon.peak(engine.precision)
    whole_s = rate.llm_token_s
    parts = {
        "prompts": whole_s - rate.decode.total_s,
        "dense weights": rate.decode.dense_s,
        "experts": rate.decode.expert_s,
        "attention": rate.decode.attention_s,
        "norms and activations": rate.decode.pointwise_s,
        "exchange": rate.decode.link_s,
        "launches": rate.decode.launch_s,
    }
    return tuple(FlopRung(n, s / whole_s, peak * s / whole_s) for n, s in parts.items())


def token_ledger(
    engine: Engine, efficiency: ServingEfficiency, service: Service, balance: EnergyBalance
) -> TokenLedger:
    """Tokens, joules and dollars of accelerators that serve one language model.

    Args:
        engine: one engine; the accelerators hold as many as fit.
        efficiency: what is reached of the limits.
        service: what is served, on how much, at what price.
        balance: power of exactly these accelerators and what belongs to them.

    Raises:
        InputError: no whole engine fits.
        NoCapacityError: the limit on speed cannot be met.
    """
    traffic, gpu_count = service.traffic, service.gpu_count
    copies = gpu_count // engine.gpu_count
    check_positive("gpu_count // engine.gpu_count", copies)
    rate = fastest_rate(engine, efficiency, traffic, service.llm_token_s_max)
    total = rate.output_llm_tokens_per_s * copies
    shape = engine.shape
    context = traffic.input_llm_tokens + traffic.output_llm_tokens / 2.0
    prompts = rate.output_llm_tokens_per_s * traffic.fresh_llm_tokens / traffic.output_llm_tokens
    flops = rate.output_llm_tokens_per_s * (
        2.0 * shape.active_parameter_count + shape.pair_flops(context, is_decode=False)
    )
    flops += prompts * (
        2.0 * shape.active_parameter_count
        + shape.pair_flops(traffic.input_llm_tokens / 2.0, is_decode=False)
    )
    peak = engine.silicon.peak(engine.precision) * engine.gpu_count
    joules = {name: balance.power_w(name) / total for name in BOUNDARIES}
    usd_per_s = service.cost_usd_per_gpu_hour * gpu_count / HOUR_S
    return TokenLedger(
        gpu_count=gpu_count,
        engine_gpu_count=engine.gpu_count,
        rate=rate,
        output_llm_tokens_per_s=total,
        useful_flop_share=flops / peak,
        ladder=_ladder(engine, rate),
        joules_per_output_llm_token=joules,
        output_llm_tokens_per_joule={name: 1.0 / value for name, value in joules.items()},
        cost_usd_per_million_output_llm_tokens=usd_per_s / total * 1e6,
        output_llm_tokens_per_usd=total / usd_per_s,
    )
