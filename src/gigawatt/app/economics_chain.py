"""The chain from power to tokens as asked in plain values, and its answer as a document."""

from dataclasses import dataclass, replace
from typing import Any

from gigawatt.economics.chain.by_type import FleetChain
from gigawatt.economics.chain.energy import PLANT_EFFICIENCY_SHARE, LoadAssumption, PowerPath
from gigawatt.economics.chain.fleet_chain import ChainRequest, fleet_chain
from gigawatt.economics.chain.serving import Traffic
from gigawatt.economics.chain.silicon import Precision
from gigawatt.economics.chain.training_chain import TrainingRequest, fleet_training
from gigawatt.economics.models.llm import language_model
from gigawatt.economics.quantities import check_positive
from gigawatt.economics.validation.constants import CONSTANTS
from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyAsked:
    """How power arrives, as a caller says it.

    Fields: plant, a key of ``PLANT_EFFICIENCY_SHARE``; pue; delivery_efficiency_share; load_share,
    None for the fitted one.
    """

    plant: str = "gas-combined-cycle"
    pue: float = 1.25
    delivery_efficiency_share: float = 0.98
    load_share: float | None = None

    def parts(self) -> tuple[PowerPath, LoadAssumption]:
        """How power arrives, and what it drives.

        Raises:
            InputError: a field is out of range or the plant is unknown.
        """
        if self.plant not in PLANT_EFFICIENCY_SHARE:
            known = ", ".join(PLANT_EFFICIENCY_SHARE)
            raise InputError(f"plant is {self.plant!r}, wanted one of {known}")
        usual = LoadAssumption(load_share=CONSTANTS.load_power_share)
        load = usual if self.load_share is None else replace(usual, load_share=self.load_share)
        path = PowerPath(
            PLANT_EFFICIENCY_SHARE[self.plant], self.delivery_efficiency_share, self.pue
        )
        return path, load


def precision_of(text: str) -> Precision:
    """The number format of this name.

    Raises:
        InputError: there is none.
    """
    if text not in set(Precision):
        raise InputError(f"precision is {text!r}, wanted one of {', '.join(Precision)}")
    return Precision(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingAsked:
    """Serving, as a caller says it.

    Fields: llm, name of the language model; precision; input_llm_tokens and output_llm_tokens,
    mean lengths; llm_tokens_per_s_min that a user gets at least, None for no limit.
    """

    llm: str = "llama-3.1-70b"
    precision: str = "fp8"
    input_llm_tokens: float = 1000.0
    output_llm_tokens: float = 1000.0
    llm_tokens_per_s_min: float | None = None

    def request(self, supply: SupplyAsked, cost_usd_per_gpu_hour: float) -> ChainRequest:
        """The request that the values describe.

        Raises:
            InputError: a value is out of range or names nothing; the field is named.
        """
        check_positive("cost_usd_per_gpu_hour", cost_usd_per_gpu_hour)
        speed = self.llm_tokens_per_s_min
        if speed is not None:
            check_positive("llm_tokens_per_s_min", speed)
        return ChainRequest(
            language_model(self.llm),
            precision_of(self.precision),
            Traffic(self.input_llm_tokens, self.output_llm_tokens),
            *supply.parts(),
            cost_usd_per_gpu_hour,
            None if speed is None else 1.0 / speed,
        )


def training_request(
    llm: str, precision: str, supply: SupplyAsked, cost_usd_per_gpu_hour: float
) -> TrainingRequest:
    """The training that the values describe.

    Raises:
        InputError: a value is out of range or names nothing; the field is named.
    """
    return TrainingRequest(
        language_model(llm), precision_of(precision), *supply.parts(), cost_usd_per_gpu_hour
    )


def chain_document(result: FleetChain[Any]) -> dict[str, Any]:
    """Stages of power and figures by node type, as values for JSON."""
    return {"stages": result.balance.rows(), "types": result.rows()}


Asked = ChainRequest | TrainingRequest
"""Serving or training."""


def chain_of(site: Fleet, asked: Asked, site_id: str | None = None) -> FleetChain[Any]:
    """The chain of a fleet, or of one of its sites, by the fitted constants.

    Raises:
        InputError: the catalogue does not know a node type.
        UnknownIdError: the fleet has no such site.
    """
    found: FleetChain[Any]
    if isinstance(asked, TrainingRequest):
        found = fleet_training(site, asked, CONSTANTS.training, site_id)
    else:
        found = fleet_chain(site, asked, CONSTANTS.serving, site_id)
    return found
