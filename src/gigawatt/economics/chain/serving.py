"""Inference at the roofline: time of a pass, speed for a user, tokens/s of an engine.

An engine is the group of accelerators that holds the weights once. A pass pushes tokens through
all layers: in prefill the tokens of prompts, in decode one token of every sequence. The time of
each part of a pass is the longer of its arithmetic and its memory traffic; parts follow each
other, and every layer costs a launch. Requests are served continuously: while sequences decode,
prompts of new ones are worked in between.
"""

from dataclasses import dataclass, replace

from gigawatt.economics.chain.silicon import WEIGHT_BYTES, Precision, Silicon
from gigawatt.economics.models.llm import LanguageModel
from gigawatt.economics.quantities import check_count, check_positive, check_range, check_share
from gigawatt.errors import InputError, NoCapacityError

PREFILL_CHUNK_LLM_TOKENS = 8192
"""Prompt tokens worked together. Source: TensorRT-LLM default max_num_tokens."""
SEQUENCES_PER_RANK_MAX = 2048
"""Sequences one scheduler runs at most. Source: TensorRT-LLM default max_batch_size."""
MEMORY_USABLE_SHARE = 0.9
"""Of the accelerator's memory. Source: TensorRT-LLM free_gpu_memory_fraction, vLLM 0.9."""
ACTIVATION_BYTES = 2.0
"""bf16 between the layers."""
POINTWISE_HIDDEN_COUNT = 16.0
"""Hidden vectors read or written a layer outside multiplications: two norms, two residuals, rope,
quantisation; each multiplication adds what it reads and writes. Source: counted by hand."""


@dataclass(frozen=True, slots=True)
class ServingEfficiency:
    """What real engines reach of the limits; the same for all chips, models and precisions.

    Fields:
        compute_share: of the dense peak in large multiplications.
        expert_compute_share: of the dense peak in grouped multiplications of routed experts,
            routing, permuting and imbalance between experts included.
        memory_share: of the memory bandwidth.
        link_share: of a link's bandwidth.
        layer_s: s, launches and synchronisation of one layer, whatever its work.
        moe_layer_s: s, on top in a layer with experts.
        sequence_s: s, scheduling and sampling for one sequence in one pass.
        collective_s: s, latency of one all-reduce or all-to-all.
        eager_layer_s: s, one layer of a prompt that is worked alone, without recorded launches.
        eager_moe_layer_s: s, on top in a layer with experts.
        prompt_wait_share: of the prompts of all other users, that a prompt waits for.
    """

    compute_share: float
    expert_compute_share: float
    memory_share: float
    link_share: float
    layer_s: float
    moe_layer_s: float
    sequence_s: float
    collective_s: float
    eager_layer_s: float
    eager_moe_layer_s: float
    prompt_wait_share: float

    def __post_init__(self) -> None:
        """Refuse shares outside 0 to 1 and negative times."""
        for field in ("compute_share", "expert_compute_share", "memory_share", "link_share"):
            check_share(field, getattr(self, field), is_zero_allowed=False)
        for field in ("layer_s", "moe_layer_s", "sequence_s", "collective_s"):
            check_range(field, getattr(self, field), 0.0)


@dataclass(frozen=True, slots=True)
class Engine:
    """A language model on a group of accelerators.

    Fields:
        shape: the language model.
        silicon: the accelerator.
        precision: of weights and multiplications.
        gpu_count: accelerators that hold the weights once.
        is_attention_replicated: True for data-parallel attention with experts spread over all
            accelerators (DEP); False for tensor parallelism (TP).
        key_value_bytes_per_element: 1 for an fp8 cache, 2 for bf16.
        is_exchange_hidden: True where tokens are worked in two halves, so that one half's exchange
            runs behind the other's arithmetic.
    """

    shape: LanguageModel
    silicon: Silicon
    precision: Precision
    gpu_count: int
    is_attention_replicated: bool = False
    key_value_bytes_per_element: float = 1.0
    is_exchange_hidden: bool = False

    def __post_init__(self) -> None:
        """Refuse an engine that cannot be."""
        check_count("gpu_count", self.gpu_count)
        check_positive("key_value_bytes_per_element", self.key_value_bytes_per_element)
        if self.is_attention_replicated and not self.shape.expert_count:
            raise InputError(
                f"is_attention_replicated is True, but {self.shape.name} has no experts to spread"
            )

    @property
    def attention_ways(self) -> int:
        """Parts that attention is cut in."""
        return 1 if self.is_attention_replicated else self.gpu_count

    @property
    def expert_bytes_per_parameter(self) -> float:
        """Bytes of a routed parameter: as published, or smaller when quantised further."""
        return min(WEIGHT_BYTES[self.precision], self.shape.expert_bytes_per_parameter_max)

    @property
    def dense_bytes_per_parameter(self) -> float:
        """Bytes of a dense parameter; beside 4-bit experts the dense part stays in fp8."""
        width = WEIGHT_BYTES[self.precision]
        return max(width, WEIGHT_BYTES[Precision.FP8]) if self.shape.expert_count else width

    @property
    def weight_bytes_per_gpu(self) -> float:
        """Bytes of weights on one accelerator."""
        lookup = self.shape.lookup_parameter_count * ACTIVATION_BYTES
        dense = self.shape.dense_parameter_count * self.dense_bytes_per_parameter + lookup
        routed = self.shape.routed_parameter_count * self.expert_bytes_per_parameter
        return dense / self.attention_ways + routed / self.gpu_count

    def key_value_bytes_per_gpu(self, context: float) -> float:
        """Bytes of cache on each accelerator that holds a part of one sequence."""
        whole = self.shape.key_value_bytes(context, self.key_value_bytes_per_element)
        return whole if self.shape.is_key_value_shared else whole / self.attention_ways

    def sequence_count_max(self, context: float) -> int:
        """Sequences of so many tokens that the engine's memory holds beside the weights.

        Raises:
            NoCapacityError: the weights alone, or weights and one sequence, do not fit.
        """
        room = self.silicon.memory_bytes * MEMORY_USABLE_SHARE - self.weight_bytes_per_gpu
        ranks = self.gpu_count if self.is_attention_replicated else 1
        per_rank = int(min(room / self.key_value_bytes_per_gpu(context), SEQUENCES_PER_RANK_MAX))
        if per_rank < 1:
            raise NoCapacityError(
                f"{self.shape.name} in {self.precision.value} does not fit on "
                f"{self.gpu_count} x {self.silicon.name} with {context:g} tokens of context",
                would_fit=("more accelerators, a narrower precision or a shorter context",),
            )
        return per_rank * ranks


@dataclass(frozen=True, slots=True)
class PassTime:
    """Where the time of one pass goes, in seconds; the parts add up to ``total_s``.

    Fields:
        dense_s: multiplications with dense weights.
        expert_s: multiplications with routed experts.
        attention_s: attention over the cache.
        pointwise_s: norms, residuals, activations.
        link_s: exchange between accelerators.
        launch_s: launches and synchronisation.
    """

    dense_s: float
    expert_s: float
    attention_s: float
    pointwise_s: float
    link_s: float
    launch_s: float

    @property
    def total_s(self) -> float:
        """Seconds of the whole pass."""
        work_s = self.dense_s + self.expert_s + self.attention_s + self.pointwise_s
        return work_s + self.link_s + self.launch_s


def _link_s(engine: Engine, efficiency: ServingEfficiency, llm_tokens: float) -> float:
    """Seconds of exchange: two all-reduces a layer (TP) or dispatch and combine (DEP)."""
    ways, shape = engine.gpu_count, engine.shape
    if ways == 1:
        return 0.0
    rate = engine.silicon.link_bytes_per_s(ways) * efficiency.link_share
    hidden_bytes = shape.hidden_width * ACTIVATION_BYTES
    if engine.is_attention_replicated:
        remote = (ways - 1) / ways * shape.expert_active_count
        sent_bytes = llm_tokens / ways * remote * hidden_bytes * 1.5
        per_layer_s = sent_bytes / rate + 2.0 * efficiency.collective_s
        return shape.moe_layer_count * per_layer_s
    sent_bytes = 2.0 * (ways - 1) / ways * llm_tokens * hidden_bytes
    return shape.layer_count * 2.0 * (sent_bytes / rate + efficiency.collective_s)


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass, as ``pass_time`` is asked for it; each part is the longer of compute and memory."""

    engine: Engine
    efficiency: ServingEfficiency
    llm_tokens: float
    context: float
    sequences: float
    is_decode: bool

    @property
    def tokens_per_gpu(self) -> float:
        return self.llm_tokens / self.engine.gpu_count

    @property
    def byte_rate(self) -> float:
        return self.engine.silicon.memory_bytes_per_s * self.efficiency.memory_share

    def flop_rate(self, precision: Precision, share: float) -> float:
        return self.engine.silicon.peak(precision) * share

    def dense_s(self) -> float:
        engine, shape = self.engine, self.engine.shape
        # Models with experts keep their dense weights in FP8 where the experts are in FP4.
        is_mixed = shape.expert_count and engine.precision is Precision.FP4
        precision = Precision.FP8 if is_mixed else engine.precision
        rate = self.flop_rate(precision, self.efficiency.compute_share)
        read_bytes = shape.dense_parameter_count * engine.dense_bytes_per_parameter
        return max(
            2.0 * shape.dense_parameter_count * self.tokens_per_gpu / rate,
            read_bytes / engine.attention_ways / self.byte_rate,
        )

    def expert_s(self) -> float:
        engine, shape = self.engine, self.engine.shape
        rate = self.flop_rate(engine.precision, self.efficiency.expert_compute_share)
        touched = shape.touched_expert_share(self.llm_tokens) * shape.routed_parameter_count
        flops = 2.0 * (shape.active_parameter_count - shape.dense_parameter_count)
        return max(
            flops * self.tokens_per_gpu / rate,
            touched * engine.expert_bytes_per_parameter / engine.gpu_count / self.byte_rate,
        )

    def attention_s(self) -> float:
        engine = self.engine
        rate = self.flop_rate(Precision.BF16, self.efficiency.compute_share)
        read_bytes = engine.key_value_bytes_per_gpu(self.context) * self.sequences
        if engine.is_attention_replicated:
            read_bytes /= engine.gpu_count
        flops = engine.shape.pair_flops(self.context, is_decode=self.is_decode)
        return max(flops * self.tokens_per_gpu / rate, read_bytes / self.byte_rate)

    def pointwise_s(self) -> float:
        engine, shape = self.engine, self.engine.shape
        width = shape.layer_count * POINTWISE_HIDDEN_COUNT * shape.hidden_width
        width += shape.active_parameter_count / shape.hidden_width
        llm_tokens = (
            self.tokens_per_gpu
            if engine.is_attention_replicated
            else self.llm_tokens / engine.attention_ways
        )
        return width * ACTIVATION_BYTES * llm_tokens / self.byte_rate

    def launch_s(self) -> float:
        engine, shape, efficiency = self.engine, self.engine.shape, self.efficiency
        ranks = engine.gpu_count if engine.is_attention_replicated else 1
        return (
            shape.layer_count * efficiency.layer_s
            + shape.moe_layer_count * efficiency.moe_layer_s
            + self.sequences / ranks * efficiency.sequence_s
        )


def pass_time(
    engine: Engine,
    efficiency: ServingEfficiency,
    llm_tokens: float,
    context: float,
    *,
    sequences: float,
    is_decode: bool,
) -> PassTime:
    """The time of one pass of the engine.

    Args:
        engine: the language model on its accelerators.
        efficiency: what is reached of the limits.
        llm_tokens: tokens pushed through, over the whole engine; > 0.
        context: tokens that a pushed token attends to on average.
        sequences: sequences whose cache is read, over the whole engine.
        is_decode: one token for each sequence, where True.

    Source:
        Williams et al. 2009 (roofline); two FLOP a parameter and token; two all-reduces a layer
        of tensor parallelism, each moving 2 (t - 1) / t of the tensor (Shoeybi et al. 2019).
    """
    one = _Pass(engine, efficiency, llm_tokens, context, sequences, is_decode)
    spent = PassTime(
        dense_s=one.dense_s(),
        expert_s=one.expert_s(),
        attention_s=one.attention_s(),
        pointwise_s=one.pointwise_s(),
        link_s=_link_s(engine, efficiency, llm_tokens),
        launch_s=one.launch_s(),
    )
    if not engine.is_exchange_hidden:
        return spent
    work_s = spent.total_s - spent.link_s - spent.launch_s
    return replace(spent, link_s=max(0.0, spent.link_s - work_s))


@dataclass(frozen=True, slots=True)
class Traffic:
    """The requests an engine gets.

    Fields:
        input_llm_tokens, output_llm_tokens: mean length of prompt and answer; > 0.
        cached_input_share: share of prompt tokens whose cache is already there, 0 to 1.
    """

    input_llm_tokens: float
    output_llm_tokens: float
    cached_input_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse empty requests and shares outside 0 to 1."""
        check_positive("input_llm_tokens", self.input_llm_tokens)
        check_positive("output_llm_tokens", self.output_llm_tokens)
        check_share("cached_input_share", self.cached_input_share)

    @property
    def fresh_llm_tokens(self) -> float:
        """Prompt tokens to compute for each request."""
        return self.input_llm_tokens * (1.0 - self.cached_input_share)


def prefill_s(engine: Engine, efficiency: ServingEfficiency, traffic: Traffic) -> float:
    """Engine seconds that the prompt of one request takes, worked in full chunks.

    Data-parallel ranks fill their chunks side by side, so a chunk is one rank's times the ranks.
    """
    if traffic.fresh_llm_tokens == 0:
        return 0.0
    ranks = engine.gpu_count if engine.is_attention_replicated else 1
    chunk = float(PREFILL_CHUNK_LLM_TOKENS * ranks)
    context = traffic.input_llm_tokens - traffic.fresh_llm_tokens / 2.0
    spent = pass_time(
        engine,
        efficiency,
        chunk,
        context,
        sequences=chunk / traffic.input_llm_tokens,
        is_decode=False,
    )
    return spent.total_s * traffic.fresh_llm_tokens / chunk


@dataclass(frozen=True, slots=True)
class ServingRate:
    """What one engine does at a number of sequences.

    Fields:
        sequence_count: sequences decoded together.
        decode: where one decode pass spends its time.
        llm_token_s: s between two tokens of one answer, prompts of others included.
        output_llm_tokens_per_s, input_llm_tokens_per_s: of the whole engine.
    """

    sequence_count: float
    decode: PassTime
    llm_token_s: float
    output_llm_tokens_per_s: float
    input_llm_tokens_per_s: float


def serving_rate(
    engine: Engine, efficiency: ServingEfficiency, traffic: Traffic, sequence_count: float
) -> ServingRate:
    """What the engine does with so many sequences at a time, without end.

    Each sequence turns over every ``output`` passes, so a pass carries ``sequences / output``
    prompts on average, and every sequence waits for them.
    """
    check_positive("sequence_count", sequence_count)
    context = traffic.input_llm_tokens + traffic.output_llm_tokens / 2.0
    decode = pass_time(
        engine, efficiency, sequence_count, context, sequences=sequence_count, is_decode=True
    )
    prompts_s = sequence_count / traffic.output_llm_tokens * prefill_s(engine, efficiency, traffic)
    llm_token_s = decode.total_s + prompts_s
    output_rate = sequence_count / llm_token_s
    return ServingRate(
        sequence_count=sequence_count,
        decode=decode,
        llm_token_s=llm_token_s,
        output_llm_tokens_per_s=output_rate,
        input_llm_tokens_per_s=output_rate * traffic.input_llm_tokens / traffic.output_llm_tokens,
    )


def fastest_rate(
    engine: Engine,
    efficiency: ServingEfficiency,
    traffic: Traffic,
    llm_token_s_max: float | None = None,
) -> ServingRate:
    """The rate at the most sequences that memory, and a limit on speed, allow.

    Args:
        engine: the language model on its accelerators.
        efficiency: what is reached of the limits.
        traffic: the requests.
        llm_token_s_max: s between two tokens of an answer at most; None for no limit.

    Raises:
        NoCapacityError: the engine does not hold one sequence, or one alone is too slow.
    """
    high = engine.sequence_count_max(traffic.input_llm_tokens + traffic.output_llm_tokens)
    best = serving_rate(engine, efficiency, traffic, float(high))
    if llm_token_s_max is None or best.llm_token_s <= llm_token_s_max:
        return best
    low = 1
    best = serving_rate(engine, efficiency, traffic, 1.0)
    if best.llm_token_s > llm_token_s_max:
        raise NoCapacityError(
            f"{engine.shape.name} on {engine.gpu_count} x {engine.silicon.name} takes "
            f"{best.llm_token_s:.4f} s a token alone, wanted at most {llm_token_s_max:g}"
        )
    while high - low > 1:
        middle = (low + high) // 2
        rate = serving_rate(engine, efficiency, traffic, float(middle))
        if rate.llm_token_s <= llm_token_s_max:
            low, best = middle, rate
        else:
            high = middle
    return best


def first_token_s(
    engine: Engine, efficiency: ServingEfficiency, traffic: Traffic, sequence_count: float
) -> float:
    """Seconds from a request to its first token when ``sequence_count`` users keep asking.

    A prompt alone is worked layer by layer without recorded launches. Users who started together
    stay partly in step, so a prompt waits for a share of the prompts of all others.
    """
    shape = engine.shape
    alone = pass_time(
        engine,
        efficiency,
        traffic.fresh_llm_tokens,
        traffic.input_llm_tokens / 2.0,
        sequences=1.0,
        is_decode=False,
    )
    eager_s = shape.layer_count * efficiency.eager_layer_s
    eager_s += shape.moe_layer_count * efficiency.eager_moe_layer_s
    others_s = (sequence_count - 1.0) * prefill_s(engine, efficiency, traffic)
    return alone.total_s - alone.launch_s + eager_s + efficiency.prompt_wait_share * others_s
