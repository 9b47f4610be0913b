"""A double of Stripe on loopback, in the shape of its API: customers, pages, refunds, webhooks.

It is ours, because no program of others that runs here knows Checkout; what it takes is what
Stripe's own library sends, and what Stripe's library reads of it is what it answers. It keeps
Idempotency-Keys as Stripe does, and fails on demand: before it did anything, or after.
"""

import hashlib
import hmac
import json
import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

KEY, SIGNING_SECRET = "sk_test_double", "whsec_double"


@dataclass
class Call:
    """One request that came."""

    method: str
    path: str
    fields: dict[str, str]
    key: str
    version: str


@dataclass
class StripeDouble:
    """What the double holds.

    Fields: faults are taken one a request: a status, "lost" for an answer that does not come
    although everything was done, or "none".
    """

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, tuple[str, int, dict[str, Any]]] = field(default_factory=dict)
    faults: deque[int | str] = field(default_factory=deque)
    clock_s: int = 1_790_000_000
    numbers: Any = field(default_factory=lambda: count(1))
    balance: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def made(self, path: str) -> list[Call]:
        """Requests that would make something below a path."""
        return [c for c in self.calls if c.method == "POST" and c.path == path]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Objects of a kind, as they came to be."""
        return [found for found in self.objects.values() if found["object"] == kind]

    def pay(self, page_ref: str, *, is_slow: bool = False) -> dict[str, Any]:
        """A payer pays a page; the event that Stripe would send."""
        page = self.objects[page_ref]
        intent = f"pi_{next(self.numbers)}"
        status = "unpaid" if is_slow else "paid"
        page |= {"status": "complete", "payment_status": status, "payment_intent": intent}
        return self.event("checkout.session.completed", page)

    def refund_at_desk(self, intent: str, cents: int, status: str = "succeeded") -> dict[str, Any]:
        """Somebody refunds at Stripe's own desk; the event."""
        made = self._refund({"payment_intent": intent, "amount": str(cents)}, status)
        return self.event("refund.created", made)

    def moved(self, category: str, cents: int, fee: int = 0, **source: Any) -> dict[str, Any]:
        """A transaction of the balance, with its source."""
        about = {"id": f"ch_{next(self.numbers)}", "object": "charge", **source} if source else None
        return {
            "id": f"txn_{next(self.numbers)}", "object": "balance_transaction", "currency": "usd",
            "amount": cents, "fee": fee, "net": cents - fee, "reporting_category": category,
            "source": about, "created": self.clock_s,
        }  # fmt: skip

    def pay_out(self, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """A payout of some transactions, as Stripe makes them by itself each day."""
        cents = sum(row["net"] for row in rows)
        payout = self._keep("po", "payout", {
            "amount": cents, "currency": "usd", "status": "paid", "automatic": True,
            "reconciliation_status": "completed", "failure_code": None, **more,
        })  # fmt: skip
        own = self.moved("payout", -payout["amount"], id=payout["id"], object="payout")
        self.balance[payout["id"]] = [*rows, own]
        return payout

    def event(self, kind: str, about: dict[str, Any]) -> dict[str, Any]:
        """An event of Stripe about an object as it is now."""
        return {
            "id": f"evt_{next(self.numbers)}",
            "object": "event",
            "type": kind,
            "created": self.clock_s,
            "livemode": False,
            "data": {"object": json.loads(json.dumps(about))},
        }

    def answer(self, call: Call) -> tuple[int, dict[str, Any]]:
        """What Stripe answers."""
        kept = self.answers.get(call.key) if call.key else None
        digest = json.dumps([call.path, sorted(call.fields.items())])
        if kept is not None:
            if kept[0] != digest:
                said = "Keys for idempotent requests can only be used with the same parameters"
                return 400, {"error": {"type": "idempotency_error", "message": said}}
            return kept[1], kept[2]
        status, made = self._carry_out(call)
        if call.key:
            self.answers[call.key] = (digest, status, made)
        return status, made

    def _carry_out(self, call: Call) -> tuple[int, dict[str, Any]]:  # noqa: PLR0911 - a table
        words = call.path.strip("/").split("/")[1:]
        match call.method, words:
            case "POST", ["customers"]:
                return 200, self._keep("cus", "customer", {"name": call.fields["name"]})
            case "POST", ["checkout", "sessions"]:
                return self._page(call.fields)
            case "GET", ["checkout", "sessions", name] if name in self.objects:
                return 200, self.objects[name]
            case "POST", ["checkout", "sessions", name, "expire"]:
                self.objects[name] |= {"status": "expired"}
                return 200, self.objects[name]
            case "POST", ["refunds"]:
                return 200, self._refund(call.fields, "succeeded")
            case "GET", ["refunds"]:
                wanted = call.fields.get("payment_intent")
                rows = [r for r in self.of("refund") if r["payment_intent"] == wanted]
                return 200, _listed(call, rows)
            case "GET", ["payouts"]:
                since = int(call.fields["created[gte]"])
                return 200, _listed(call, [p for p in self.of("payout") if p["created"] >= since])
            case "GET", ["balance_transactions"]:
                assert call.fields["expand[0]"] == "data.source"
                return 200, _listed(call, self.balance.get(call.fields["payout"], []))
        return 404, {"error": {"type": "invalid_request_error", "message": f"No such {words}"}}

    def _keep(self, prefix: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        name = f"{prefix}_{next(self.numbers)}"
        made = {"id": name, "object": kind, "created": self.clock_s, **fields}
        self.objects[name] = made
        return made

    def _page(self, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
        cents = int(fields["line_items[0][price_data][unit_amount]"])
        if fields["customer"] not in self.objects:
            return 400, {"error": {"type": "invalid_request_error", "message": "No such customer"}}
        made = self._keep("cs", "checkout.session", {
            "amount_total": cents, "currency": fields["line_items[0][price_data][currency]"],
            "client_reference_id": fields["client_reference_id"], "status": "open",
            "payment_status": "unpaid", "payment_intent": None, "metadata": _meta(fields),
            "expires_at": int(fields["expires_at"]), "customer": fields["customer"],
            "customer_details": {"email": "payer@example.com", "name": "A Payer"},
        })  # fmt: skip
        made["url"] = f"{self.url}/pay/{made['id']}"
        return 200, made

    def _refund(self, fields: dict[str, str], status: str) -> dict[str, Any]:
        return self._keep("re", "refund", {
            "amount": int(fields["amount"]), "currency": "usd", "status": status,
            "payment_intent": fields["payment_intent"], "metadata": _meta(fields),
        })  # fmt: skip


def _listed(call: Call, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of a list, as long as Stripe makes them."""
    names = [row["id"] for row in rows]
    first = names.index(call.fields["starting_after"]) + 1 if "starting_after" in call.fields else 0
    size = int(call.fields.get("limit", "10"))
    page = rows[first : first + size]
    return {
        "object": "list", "data": page, "has_more": first + size < len(rows), "url": call.path,
    }  # fmt: skip


def _meta(fields: dict[str, str]) -> dict[str, str]:
    found = ((re.fullmatch(r"metadata\[(\w+)\]", name), text) for name, text in fields.items())
    return {match[1]: text for match, text in found if match is not None}


def signed(body: bytes, at_s: float, secret: str = SIGNING_SECRET) -> str:
    """The header with which Stripe signs a body. Source: docs.stripe.com/webhooks/signature."""
    stamp = str(int(at_s)).encode()
    digest = hmac.new(secret.encode(), stamp + b"." + body, hashlib.sha256).hexdigest()
    return f"t={stamp.decode()},v1={digest}"


class _Handler(BaseHTTPRequestHandler):
    double: ClassVar[StripeDouble]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET", urlsplit(self.path).query)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        self._serve("POST", self.rfile.read(length).decode())

    def _serve(self, method: str, query: str) -> None:
        fields = dict(parse_qsl(query, keep_blank_values=True))
        call = Call(
            method, urlsplit(self.path).path, fields, self.headers.get("Idempotency-Key", ""),
            self.headers.get("Stripe-Version", ""),
        )  # fmt: skip
        double = self.double
        double.calls.append(call)
        fault = double.faults.popleft() if double.faults else None
        if isinstance(fault, int):
            self._say(fault, {"error": {"type": "api_error", "message": "down for the test"}})
            return
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self._say(401, {"error": {"type": "invalid_request_error", "message": "Invalid key"}})
            return
        status, answer = double.answer(call)
        if fault == "lost":
            self.close_connection = True
            return
        self._say(status, answer)

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Stripe-Should-Retry", "false")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def stripe_double() -> Iterator[StripeDouble]:
    """A double that listens until the end."""
    double = StripeDouble()
    handler = type("Handler", (_Handler,), {"double": double})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
