"""The cost of a GPU-hour as a document: two views, break-even, over utilisation, and swings."""

from dataclasses import asdict, replace
from typing import Any

from gigawatt.economics.gpu_hour.cost import (
    GpuHourCost,
    Utilisation,
    break_even_utilisation_share,
    gpu_hour_cost,
)
from gigawatt.economics.gpu_hour.inputs import CostInputs
from gigawatt.economics.gpu_hour.sensitivity import swings

VIEWS = (False, True)
"""Accounting, economic."""
UTILISATION_SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""At which the cost is shown over utilisation."""


def both_views(inputs: CostInputs) -> tuple[GpuHourCost, GpuHourCost]:
    """Cost in the accounting and in the economic view."""
    accounting, economic = (gpu_hour_cost(inputs, is_economic=view) for view in VIEWS)
    return accounting, economic


def cost_rows(costs: tuple[GpuHourCost, ...]) -> list[dict[str, Any]]:
    """One mapping a view, in USD for a sold GPU-hour."""
    return [{"view": c.view, **c.components, "total_usd": c.total_usd} for c in costs]


def over_utilisation(inputs: CostInputs, price_usd_per_gpu_hour: float) -> list[dict[str, float]]:
    """Cost over hours sold, and the dollars that must come in for each hour there is.

    A row is a share of hours sold. Its dollar share is revenue over list price times all hours that
    just pays for the cost; above the share of hours, the list price does not cover it. The margin
    is of an hour sold at the list price.

    Args:
        inputs: all but the utilisation.
        price_usd_per_gpu_hour: the list price; > 0.
    """
    rows = []
    for share in UTILISATION_SHARES:
        costs = both_views(replace(inputs, utilisation_share=share))
        sold = Utilisation(share, share)
        row = {"sold_hours_share": share}
        for cost, view in zip(costs, VIEWS, strict=True):
            row[f"{cost.view}_usd"] = cost.total_usd
            row[f"{cost.view}_dollar_share"] = cost.total_usd * share / price_usd_per_gpu_hour
            row[f"{cost.view}_margin_usd"] = sold.margin_usd_per_sold_gpu_hour(
                inputs, price_usd_per_gpu_hour, is_economic=view
            )
        rows.append(row)
    return rows


def cost_document(inputs: CostInputs, price_usd_per_gpu_hour: float) -> dict[str, Any]:
    """Everything about the cost of a GPU-hour, as values for JSON.

    Raises:
        InputError: the price does not even cover the energy of the hour sold.
    """
    costs = both_views(inputs)
    even = {
        cost.view: break_even_utilisation_share(inputs, price_usd_per_gpu_hour, is_economic=view)
        for cost, view in zip(costs, VIEWS, strict=True)
    }
    return {
        "costs": cost_rows(costs),
        "price_usd_per_gpu_hour": price_usd_per_gpu_hour,
        "break_even_utilisation_share": even,
        "break_even_price_usd_per_gpu_hour": {cost.view: cost.total_usd for cost in costs},
        "over_utilisation": over_utilisation(inputs, price_usd_per_gpu_hour),
        "swings": [asdict(swing) for swing in swings(inputs)],
        "inputs": asdict(inputs),
    }
