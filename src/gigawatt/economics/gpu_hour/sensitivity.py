"""How the cost of a GPU-hour moves when one input moves, and the others do not."""

from dataclasses import dataclass, replace

from gigawatt.economics.gpu_hour.cost import gpu_hour_cost
from gigawatt.economics.gpu_hour.inputs import NUMBER_FIELDS, CostInputs
from gigawatt.economics.quantities import check_share
from gigawatt.errors import InputError


@dataclass(frozen=True, slots=True)
class Swing:
    """The cost with one input lower and higher.

    Fields:
        field: the input.
        low_value, high_value: what it was set to, in its unit.
        cost_usd_low, cost_usd_high: USD for a sold GPU-hour at these.
    """

    field: str
    low_value: float
    high_value: float
    cost_usd_low: float
    cost_usd_high: float

    @property
    def width_usd(self) -> float:
        """USD between the two."""
        return abs(self.cost_usd_high - self.cost_usd_low)


def _cost_usd(inputs: CostInputs, field: str, value: float, *, is_economic: bool) -> float | None:
    """The cost at the value; None where the value cannot be."""
    try:
        changed: CostInputs = replace(inputs, **{field: value})  # type: ignore[arg-type]
    except InputError:
        return None
    return gpu_hour_cost(changed, is_economic=is_economic).total_usd


def swings(
    inputs: CostInputs, *, step_share: float = 0.2, is_economic: bool = False
) -> tuple[Swing, ...]:
    """Swings of all inputs, widest first; inputs that are 0 do not move.

    Args:
        inputs: the middle.
        step_share: how far each input moves down and up, of its value. Where a value may not go
            so far (a share above 1, a PUE below 1) it goes to the limit.
        is_economic: which view of capital.
    """
    check_share("step_share", step_share, is_zero_allowed=False)
    found = []
    for field in NUMBER_FIELDS:
        middle = float(getattr(inputs, field))
        if middle == 0.0:
            continue
        low, high = middle * (1.0 - step_share), middle * (1.0 + step_share)
        if field.endswith("_share"):
            high = min(high, 1.0)
        if field == "pue":
            low = max(low, 1.0)
        costs = [_cost_usd(inputs, field, v, is_economic=is_economic) for v in (low, high)]
        if costs[0] is not None and costs[1] is not None:
            found.append(Swing(field, low, high, costs[0], costs[1]))
    return tuple(sorted(found, key=lambda swing: (-swing.width_usd, swing.field)))
