"""One published day of serving, from tokens to nodes, dollars and margin.

DeepSeek published a day of its service: tokens in and out, speed of a node, nodes, cost and
revenue. Each figure is computed here from others of that day, and the two speeds of a node also
from the roofline, without them.
"""

from dataclasses import dataclass, replace

from gigawatt.economics.chain.serving import (
    Engine,
    ServingEfficiency,
    Traffic,
    fastest_rate,
    prefill_s,
)
from gigawatt.economics.chain.silicon import GIGA, Precision, silicon_of
from gigawatt.economics.models.llm import language_model
from gigawatt.economics.quantities import check_positive, check_share
from gigawatt.errors import InputError
from gigawatt.fleet.catalogue import accelerator
from gigawatt.units import DAY_S

GPUS_PER_NODE = 8
PREFILL_GPUS = 32
DECODE_GPUS = 144
H800_NVLINK_BYTES_PER_S = 200 * GIGA
"""One direction; NVLink of the H800 is 400 GB/s both ways."""


@dataclass(frozen=True, slots=True)
class ServingDay:
    """Tokens and prices of a day.

    Fields:
        input_llm_tokens, output_llm_tokens: of the day.
        cached_input_share: of input tokens.
        price_usd_per_million_cached, price_usd_per_million_input, price_usd_per_million_output.
        price_usd_per_gpu_hour: rent.
    """

    input_llm_tokens: float
    output_llm_tokens: float
    cached_input_share: float
    price_usd_per_million_cached: float
    price_usd_per_million_input: float
    price_usd_per_million_output: float
    price_usd_per_gpu_hour: float

    def __post_init__(self) -> None:
        """Refuse a day without tokens."""
        check_positive("input_llm_tokens", self.input_llm_tokens)
        check_positive("output_llm_tokens", self.output_llm_tokens)
        check_share("cached_input_share", self.cached_input_share)

    @property
    def revenue_usd(self) -> float:
        """USD of the day at the three prices."""
        cached = self.input_llm_tokens * self.cached_input_share
        fresh = self.input_llm_tokens - cached
        total = cached * self.price_usd_per_million_cached
        total += fresh * self.price_usd_per_million_input
        total += self.output_llm_tokens * self.price_usd_per_million_output
        return total / 1e6

    def cost_usd(self, node_count: float) -> float:
        """USD of the day for so many nodes of eight GPUs."""
        return node_count * GPUS_PER_NODE * 24.0 * self.price_usd_per_gpu_hour

    def node_count(self, prefill_per_node_s: float, decode_per_node_s: float) -> float:
        """Nodes that the day needs on average.

        Args:
            prefill_per_node_s: input tokens/s of a node, cached ones included.
            decode_per_node_s: output tokens/s of a node.
        """
        check_positive("prefill_per_node_s", prefill_per_node_s)
        check_positive("decode_per_node_s", decode_per_node_s)
        need = self.input_llm_tokens / prefill_per_node_s
        return (need + self.output_llm_tokens / decode_per_node_s) / DAY_S


DEEPSEEK_DAY = ServingDay(608e9, 168e9, 342 / 608, 0.14, 0.55, 2.19, 2.0)
"""Source: deepseek-ai/open-infra-index, day 6, statistics of 2025-02-27 to 28."""
PUBLISHED_PREFILL_PER_NODE_S = 73_700.0
PUBLISHED_DECODE_PER_NODE_S = 14_800.0
PUBLISHED_CONTEXT_LLM_TOKENS = 4_989.0
PUBLISHED_SPEED_LLM_TOKENS_PER_S = 21.0
"""Middle of the published 20 to 22 tokens/s for a user."""


def _traffic(day: ServingDay, cached_share: float) -> Traffic:
    """Mean request: lengths in the day's ratio whose mean context is the published one."""
    ratio = day.input_llm_tokens / day.output_llm_tokens
    output = PUBLISHED_CONTEXT_LLM_TOKENS / (ratio + 0.5)
    return Traffic(output * ratio, output, cached_share)


def _engine(gpu_count: int) -> Engine:
    chip = silicon_of(accelerator("H100-SXM5-80GB"))
    chip = replace(chip, scale_up_bytes_per_s=H800_NVLINK_BYTES_PER_S)
    shape = language_model("deepseek-v3")
    return Engine(
        shape,
        chip,
        Precision.FP8,
        gpu_count,
        is_attention_replicated=True,
        is_exchange_hidden=True,
    )


def node_rates(day: ServingDay, efficiency: ServingEfficiency) -> tuple[float, float]:
    """(input, output) tokens/s of a node by the roofline, in the published layout.

    Prefill runs on 32 GPUs, decode on 144, at the published speed for a user; both work in two
    halves, which the publication names dual-batch overlap.
    """
    prompt = _traffic(day, day.cached_input_share)
    seconds = prefill_s(_engine(PREFILL_GPUS), efficiency, prompt)
    prefill = prompt.input_llm_tokens / seconds / PREFILL_GPUS * GPUS_PER_NODE
    rate = fastest_rate(
        _engine(DECODE_GPUS), efficiency, _traffic(day, 1.0), 1.0 / PUBLISHED_SPEED_LLM_TOKENS_PER_S
    )
    return prefill, rate.output_llm_tokens_per_s / DECODE_GPUS * GPUS_PER_NODE


def day_value(metric: str, efficiency: ServingEfficiency) -> float:
    """What we compute for one published figure of the day.

    Raises:
        InputError: the figure is given, not computed.
    """
    day = DEEPSEEK_DAY
    published = (PUBLISHED_PREFILL_PER_NODE_S, PUBLISHED_DECODE_PER_NODE_S)
    nodes = day.node_count(*published)
    cost = day.cost_usd(nodes)
    if metric == "prefill input throughput per node":
        return node_rates(day, efficiency)[0]
    if metric == "decode output throughput per node":
        return node_rates(day, efficiency)[1]
    known = {
        "average nodes": nodes,
        "daily cost at $2/GPU-h": cost,
        "theoretical daily revenue at R1 price": day.revenue_usd,
        "cost profit margin": (day.revenue_usd / cost - 1.0) * 100.0,
        "KV cache hit rate": day.cached_input_share * 100.0,
    }
    if metric not in known:
        raise InputError(f"{metric!r} is given, not computed")
    return known[metric]
