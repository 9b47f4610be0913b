"""The seam between parsing and work: a module of ``cli.work`` comes in when it is first used.

Numbers, databases and drawings take half a second to import; ``--help`` needs none of them.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigawatt.cli.work import (
        accounts,
        billing,
        budgets,
        clusters,
        completing,
        deals,
        demo,
        economics,
        events,
        explain,
        fleets,
        floor,
        keeping,
        labs,
        login,
        nodes,
        operations,
        passes,
        payments,
        prices,
        proofs,
        queues,
        rates,
        reservations,
        rooms,
        servers,
        spot_watch,
        spots,
        storage,
        usage,
        utilisation,
        views,
    )

__all__ = [
    "accounts",
    "billing",
    "budgets",
    "clusters",
    "completing",
    "deals",
    "demo",
    "economics",
    "events",
    "explain",
    "fleets",
    "floor",
    "keeping",
    "labs",
    "login",
    "nodes",
    "operations",
    "passes",
    "payments",
    "prices",
    "proofs",
    "queues",
    "rates",
    "reservations",
    "rooms",
    "servers",
    "spot_watch",
    "spots",
    "storage",
    "usage",
    "utilisation",
    "views",
]


def __getattr__(name: str) -> ModuleType:
    """The module of ``cli.work`` that is called ``name``."""
    if name not in __all__:
        raise AttributeError(name)
    return importlib.import_module(f"gigawatt.cli.work.{name}")
