"""Shapes of published language models.

Goal: a shape that is marked as of high confidence has the parameters that its published
configuration implies, to the last one, and the widths that serving computes with.
Method: parameters counted anew, matrix by matrix, from the fields of each configuration file.
"""

from dataclasses import dataclass

import pytest

from gigawatt.economics.models.llm import language_model, language_models


@dataclass(frozen=True)
class Published:
    """Fields of a published configuration; ``experts`` is 1 where the layer is no mixture."""

    layers: int
    hidden: int
    inner: int
    heads: int
    key_value_heads: int
    vocabulary: int
    experts: int = 1
    experts_of_token: int = 1
    has_query_norm: bool = False
    head: int = 128

    @property
    def expert_parameters(self) -> int:
        """Gate, up and down."""
        return 3 * self.hidden * self.inner

    @property
    def parameters(self) -> int:
        """Every matrix and every norm; the embedding and the head are two matrices."""
        attention = 2 * self.hidden * self.head * (self.heads + self.key_value_heads)
        router = self.hidden * self.experts if self.experts > 1 else 0
        norms = 2 * self.hidden + (2 * self.head if self.has_query_norm else 0)
        layer = attention + self.experts * self.expert_parameters + router + norms
        return self.layers * layer + 2 * self.vocabulary * self.hidden + self.hidden


PUBLISHED = {
    "llama-2-70b": Published(80, 8192, 28672, 64, 8, 32000),
    "llama-3.1-8b": Published(32, 4096, 14336, 32, 8, 128256),
    "llama-3.1-70b": Published(80, 8192, 28672, 64, 8, 128256),
    "llama-3.1-405b": Published(126, 16384, 53248, 128, 8, 128256),
    "mixtral-8x7b": Published(32, 4096, 14336, 32, 8, 32000, 8, 2),
    "qwen3-235b-a22b": Published(94, 4096, 1536, 64, 4, 151936, 128, 8, has_query_norm=True),
}
"""Source: config.json of each, as quoted in several public repositories."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shape_has_the_parameters_of_its_configuration(name: str):
    shape, found = language_model(name), PUBLISHED[name]
    assert shape.parameter_count == found.parameters
    assert shape.lookup_parameter_count == found.vocabulary * found.hidden
    assert shape.key_value_width == 2 * found.key_value_heads * found.head
    assert shape.attention_width_prefill == 2 * found.heads * found.head
    if found.experts > 1:
        assert shape.expert_parameter_count == found.expert_parameters
        assert (shape.expert_count, shape.expert_active_count) == (
            found.experts,
            found.experts_of_token,
        )


def test_latent_attention_has_the_parameters_of_its_configuration():
    """DeepSeek-V3: 61 layers, 3 of them dense, 256 experts and one that all tokens use."""
    hidden, heads, query_rank, latent = 7168, 128, 1536, 512
    query = hidden * query_rank + query_rank + query_rank * heads * (128 + 64)
    key_value = hidden * (latent + 64) + latent + latent * heads * (128 + 128)
    attention = query + key_value + heads * 128 * hidden
    expert = 3 * hidden * 2048
    mixture = 257 * expert + 256 * hidden + 256
    layers = 61 * (attention + 2 * hidden) + 3 * 3 * hidden * 18432 + 58 * mixture
    shape = language_model("deepseek-v3")
    assert shape.parameter_count == layers + 2 * 129280 * hidden + hidden
    assert shape.key_value_width == latent + 64


def test_high_confidence_is_for_what_is_counted_here():
    high = {shape.name for shape in language_models() if shape.confidence == "high"}
    assert high == {*PUBLISHED, "deepseek-v3"}
