"""The application in parts: each is made when the first request for it comes.

Making every route takes a tenth of a second, which a command of one request need not wait for.
The routes, the door and the answers are those of the whole application.
"""

from collections.abc import Mapping
from importlib import import_module

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from gigawatt.api.application import MODULES, build_application
from gigawatt.app.service import Service
from gigawatt.sdk.calls import BASE

_ACCOUNTS = ("accounts",)

PARTS: Mapping[str, tuple[str, ...]] = {
    "clusters": ("plans", "clusters", "firewall", "redfish", "contracts", "spot"),
    "plans": ("plans",),
    "rates": ("rates",),
    "prices": ("rates",),
    "operations": ("operations",),
    "events": ("events",),
    "events:stream": ("events",),
    "fleet": ("drawings", "fleet", "power", "stranded"),
    "nodes": ("fleet", "receipts"),
    "proofs": ("passes",),
    **dict.fromkeys(("reconciliations", "reconciler"), ("reconciler",)),
    "file-systems": ("file_systems", "object_doors"),
    "firewall-rulesets": ("firewall",),
    "images": ("firewall",),
    "projects": ("accounts", "file_systems", "tenancy", "budgets"),
    "organisations": (
        "accounts",
        "members",
        "tenancy",
        "billing",
        "payments",
        "contracts",
        "budgets",
    ),
    **dict.fromkeys(("billing", "invoices"), ("billing", "payments")),
    "ledger": ("billing",),
    **dict.fromkeys(("payments", "payment-options", "payouts", "payouts:refresh"), ("payments",)),
    "payment-events": ("payments", "payment_events"),
    "product-prices": ("contracts",),
    "waiting": ("waiting",),
    "usage": ("usage",),
    "utilisation": ("utilisation",),
    "reservations": ("reservations",),
    "capacity": ("reservations",),
    "spot": ("spot",),
    "notices": ("spot",),
    "admission": ("admission",),
    "turned-away": ("admission",),
    **dict.fromkeys(("me", "accounts", "api-keys", "ssh-keys"), _ACCOUNTS),
}
"""Modules of routes by the first word of their paths; all of them for any other word."""


class PartedApplication:
    """ASGI application over a service that answers as ``build_application(service)`` does."""

    def __init__(self, service: Service) -> None:
        """Make nothing yet."""
        self._service = service
        self._made: dict[tuple[str, ...], FastAPI] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self.part_of(scope["path"])(scope, receive, send)

    def part_of(self, path: str) -> FastAPI:
        """The part that serves a path."""
        word = path.removeprefix(f"{BASE}/").split("/")[0]
        modules = PARTS.get(word, MODULES)
        if modules not in self._made:
            routers = [import_module(f"gigawatt.api.routes.{name}").router for name in modules]
            self._made[modules] = build_application(self._service, routers)
        return self._made[modules]
