"""The whole chain for a fleet: power, tokens, joules and dollars, node type by node type."""

from dataclasses import dataclass

from gigawatt.economics.chain.by_type import FleetChain, Supply, chain_by_type
from gigawatt.economics.chain.energy import EnergyBalance, LoadAssumption, PowerPath
from gigawatt.economics.chain.ledger import Service, TokenLedger, smallest_engine, token_ledger
from gigawatt.economics.chain.serving import ServingEfficiency, Traffic
from gigawatt.economics.chain.silicon import Precision, Silicon
from gigawatt.economics.models.llm import LanguageModel
from gigawatt.fleet.model import Fleet


@dataclass(frozen=True, slots=True)
class ChainRequest:
    """What is served and under which assumptions.

    Fields:
        shape, precision, traffic: language model, number format, requests.
        path: how power reaches the computers.
        assumption: power in service.
        cost_usd_per_gpu_hour: for every GPU type alike.
        llm_token_s_max: s between two tokens of an answer at most; None for no limit.
    """

    shape: LanguageModel
    precision: Precision
    traffic: Traffic
    path: PowerPath
    assumption: LoadAssumption
    cost_usd_per_gpu_hour: float
    llm_token_s_max: float | None = None


ServingChain = FleetChain[TokenLedger]
"""The chain of a fleet that serves."""


def output_llm_tokens_per_s(chain: ServingChain) -> float:
    """Tokens/s of all node types that serve."""
    return sum(part.ledger.output_llm_tokens_per_s for part in chain.types if part.ledger)


def fleet_chain(
    fleet: Fleet, request: ChainRequest, efficiency: ServingEfficiency, site_id: str | None = None
) -> ServingChain:
    """The chain of a fleet, or of one site, whose every GPU serves one language model.

    Raises:
        InputError: the fleet has a node type that the catalogue does not know.
        UnknownIdError: the fleet has no such site.
    """
    context = request.traffic.input_llm_tokens + request.traffic.output_llm_tokens

    def ledger_of(silicon: Silicon, gpu_count: int, balance: EnergyBalance) -> TokenLedger:
        service = Service(
            request.traffic, gpu_count, request.cost_usd_per_gpu_hour, request.llm_token_s_max
        )
        engine = smallest_engine(request.shape, silicon, request.precision, context)
        return token_ledger(engine, efficiency, service, balance)

    supply = Supply(request.path, request.assumption, request.precision)
    return chain_by_type(fleet, site_id, supply, ledger_of)
