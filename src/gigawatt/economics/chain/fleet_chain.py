"""The whole chain for a fleet: power, tokens, joules and dollars, node type by node type."""

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
from gigawatt.economics.chain.ledger import Service, TokenLedger, smallest_engine, token_ledger
from gigawatt.economics.chain.serving import ServingEfficiency, Traffic
from gigawatt.economics.chain.silicon import Precision, silicon_of
from gigawatt.economics.models.llm import LanguageModel
from gigawatt.errors import NoCapacityError
from gigawatt.fleet.model import Fleet, NodeType


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


@dataclass(frozen=True, slots=True)
class TypeChain:
    """One node type of the fleet.

    Fields:
        node_type, accelerator: names.
        gpu_count: GPUs of the type.
        peak_flop_per_s: dense peak of all of them at the precision.
        balance: power of these nodes and what belongs to them.
        ledger: tokens, joules, dollars; None where the language model cannot be served.
        reason: why not, else empty.
    """

    node_type: str
    accelerator: str
    gpu_count: int
    peak_flop_per_s: float
    balance: EnergyBalance
    ledger: TokenLedger | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FleetChain:
    """The chain of a fleet.

    Fields:
        balance: of all nodes.
        types: by node type.
    """

    balance: EnergyBalance
    types: tuple[TypeChain, ...]

    @property
    def output_llm_tokens_per_s(self) -> float:
        """Tokens/s of all types that serve."""
        return sum(t.ledger.output_llm_tokens_per_s for t in self.types if t.ledger)

    def rows(self) -> list[dict[str, object]]:
        """One mapping a node type, for tables."""
        found: list[dict[str, object]] = []
        for part in self.types:
            row: dict[str, object] = {
                "node_type": part.node_type,
                "gpu_count": part.gpu_count,
                "peak_pflop_per_s": part.peak_flop_per_s / 1e15,
                "facility_w": part.balance.power_w("facility"),
            }
            ledger = part.ledger
            if ledger:
                row |= {
                    "engine_gpu_count": ledger.engine_gpu_count,
                    "useful_flop_share": ledger.useful_flop_share,
                    "output_llm_tokens_per_s": ledger.output_llm_tokens_per_s,
                    "facility_j_per_output_llm_token": ledger.joules_per_output_llm_token[
                        "facility"
                    ],
                    "source_j_per_output_llm_token": ledger.joules_per_output_llm_token["source"],
                    "cost_usd_per_million_output_llm_tokens": (
                        ledger.cost_usd_per_million_output_llm_tokens
                    ),
                    "output_llm_tokens_per_usd": ledger.output_llm_tokens_per_usd,
                }
            found.append(row)
        return found


def _type_chain(
    node_type: NodeType,
    gpu_count: int,
    balance: EnergyBalance,
    request: ChainRequest,
    efficiency: ServingEfficiency,
) -> TypeChain:
    chip = chip_of_node(node_type)
    silicon = silicon_of(chip)
    peak = silicon.peak(request.precision) * gpu_count
    context = request.traffic.input_llm_tokens + request.traffic.output_llm_tokens
    service = Service(
        request.traffic, gpu_count, request.cost_usd_per_gpu_hour, request.llm_token_s_max
    )
    try:
        engine = smallest_engine(request.shape, silicon, request.precision, context)
        ledger = token_ledger(engine, efficiency, service, balance)
    except NoCapacityError as error:
        return TypeChain(node_type.name, chip.name, gpu_count, peak, balance, None, str(error))
    return TypeChain(node_type.name, chip.name, gpu_count, peak, balance, ledger)


def fleet_chain(fleet: Fleet, request: ChainRequest, efficiency: ServingEfficiency) -> FleetChain:
    """The chain of a fleet whose every GPU serves one language model.

    Raises:
        InputError: the fleet has a node type that the catalogue does not know.
    """
    loads = fleet_loads(fleet, request.assumption)
    counts = {t.name: 0 for t in fleet.node_types}
    for index in fleet.nodes.type.tolist():
        counts[fleet.node_types[index].name] += fleet.node_types[index].gpu_count
    types = tuple(
        _type_chain(
            node_type,
            counts[node_type.name],
            energy_balance(request.path, loads[node_type.name]),
            request,
            efficiency,
        )
        for node_type in fleet.node_types
        if node_type.name in loads
    )
    return FleetChain(energy_balance(request.path, total_load(loads.values())), types)
