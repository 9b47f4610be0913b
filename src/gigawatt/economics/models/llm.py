"""Large language models as shapes: what a forward pass reads, computes and keeps."""

import re
from dataclasses import dataclass
from functools import cache

from gigawatt.economics.models.tables import Row, parse_rows, shipped_rows
from gigawatt.errors import DataError, UnknownIdError


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """The shape of one language model.

    Fields:
        name, aliases: aliases are lower case and found inside other people's spellings.
        parameter_count: all parameters.
        lookup_parameter_count: of these the input embedding, which costs no multiplication.
        layer_count, hidden_width: width in elements.
        key_value_width: elements of the KV cache for each token and layer, K and V together.
        attention_width_prefill, attention_width_decode: multiply-adds for one pair of tokens in
            one layer; they differ where decode attends in a latent space.
        moe_layer_count, expert_count, expert_active_count, expert_parameter_count: routed experts
            only; a shared expert counts as dense. All 0 for a dense model.
        expert_bytes_per_parameter_max: of the published weights; 2 for bf16.
        window_layer_count, window_llm_token_count: layers that attend to the last tokens only.
        is_key_value_shared: True where all heads read one latent entry, so that tensor
            parallelism does not divide the cache.
        source, confidence, note: where the shape is from.
    """

    name: str
    aliases: tuple[str, ...]
    parameter_count: float
    lookup_parameter_count: float
    layer_count: int
    hidden_width: int
    key_value_width: int
    attention_width_prefill: float
    attention_width_decode: float
    moe_layer_count: int
    expert_count: int
    expert_active_count: int
    expert_parameter_count: float
    expert_bytes_per_parameter_max: float
    window_layer_count: int
    window_llm_token_count: int
    is_key_value_shared: bool
    source: str
    confidence: str
    note: str

    @property
    def routed_parameter_count(self) -> float:
        """Parameters in routed experts."""
        return float(self.moe_layer_count * self.expert_count) * self.expert_parameter_count

    @property
    def dense_parameter_count(self) -> float:
        """Parameters that every token multiplies with, embedding lookup left out."""
        return self.parameter_count - self.routed_parameter_count - self.lookup_parameter_count

    @property
    def active_parameter_count(self) -> float:
        """Parameters that one token multiplies with."""
        routed = self.moe_layer_count * self.expert_active_count * self.expert_parameter_count
        return self.dense_parameter_count + routed

    def mean_context_llm_tokens(self, llm_token_count: float) -> float:
        """Tokens that a layer attends to on average, ``llm_token_count`` being there."""
        if not self.window_layer_count:
            return llm_token_count
        near = min(llm_token_count, float(self.window_llm_token_count))
        share = self.window_layer_count / self.layer_count
        return share * near + (1.0 - share) * llm_token_count

    def key_value_bytes(self, llm_token_count: float, bytes_per_element: float) -> float:
        """Bytes of KV cache for one sequence of so many tokens."""
        context = self.mean_context_llm_tokens(llm_token_count)
        return self.layer_count * self.key_value_width * context * bytes_per_element

    def pair_flops(self, context: float, *, is_decode: bool) -> float:
        """FLOP of attention for one new token that attends to ``context`` tokens."""
        width = self.attention_width_decode if is_decode else self.attention_width_prefill
        return 2.0 * self.layer_count * width * self.mean_context_llm_tokens(context)

    def touched_expert_share(self, llm_token_count: float) -> float:
        """Share of routed experts that at least one of the tokens is sent to, if evenly routed.

        Source: a token misses an expert with probability 1 - k/E, so all miss it with
            (1 - k/E)**n.
        """
        if not self.expert_count:
            return 0.0
        miss = 1.0 - self.expert_active_count / self.expert_count
        return float(1.0 - miss**llm_token_count)


def _language_model(row: Row) -> LanguageModel:
    shape = LanguageModel(
        name=row.text("name"),
        aliases=tuple(row.text("alias").split(";")),
        parameter_count=row.number("parameter_count", 1.0),
        lookup_parameter_count=row.number("lookup_parameter_count"),
        layer_count=row.count("layer_count", 1),
        hidden_width=row.count("hidden_width", 1),
        key_value_width=row.count("key_value_width", 1),
        attention_width_prefill=row.number("attention_width_prefill", 1.0),
        attention_width_decode=row.number("attention_width_decode", 1.0),
        moe_layer_count=row.count("moe_layer_count"),
        expert_count=row.count("expert_count"),
        expert_active_count=row.count("expert_active_count"),
        expert_parameter_count=row.number("expert_parameter_count"),
        expert_bytes_per_parameter_max=row.number("expert_bytes_per_parameter_max", 0.1),
        window_layer_count=row.count("window_layer_count"),
        window_llm_token_count=row.count("window_llm_token_count"),
        is_key_value_shared=row.count("is_key_value_shared") == 1,
        source=row.text("source"),
        confidence=row.text("confidence"),
        note=row.text("note"),
    )
    if shape.dense_parameter_count <= 0 or shape.expert_active_count > shape.expert_count:
        raise DataError(f"{row.place}: {shape.name} has more parameters in experts than in all")
    return shape


def parse_language_models(text: str, table: str = "llm.csv") -> tuple[LanguageModel, ...]:
    """Language models of a CSV table, in order.

    Raises:
        DataError: a column is missing or a cell is wrong; table, line and column are named.
    """
    return tuple(_language_model(row) for row in parse_rows(text, table))


@cache
def language_models() -> tuple[LanguageModel, ...]:
    """Every shipped language model, in the table's order."""
    return tuple(_language_model(row) for row in shipped_rows("llm.csv"))


def language_model(name: str) -> LanguageModel:
    """The language model of this name or of a name that contains one of its aliases.

    Raises:
        UnknownIdError: none is.
    """
    wanted = re.sub(r"[ _]+", "-", name.strip().lower())
    for shape in language_models():
        if shape.name == wanted:
            return shape
    found = [s for s in language_models() if any(alias in wanted for alias in s.aliases)]
    if found:
        return max(found, key=lambda s: max(len(a) for a in s.aliases if a in wanted))
    known = ", ".join(shape.name for shape in language_models())
    raise UnknownIdError(f"no language model {name!r}", next_step=f"Use one of {known}.")
