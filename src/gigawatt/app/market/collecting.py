"""What a server does about payments by itself: asks again where nobody answered, and looks."""

import logging
import threading
from collections.abc import Callable
from functools import partial

from gigawatt.app.market.payments import ASK_S_MAX, Payments
from gigawatt.app.market.payouts import Payouts
from gigawatt.errors import DriverRetryableError, GigawattError
from gigawatt.interfaces.payments import PaymentQuery
from gigawatt.market.payment import Payment, PaymentState

EVERY_S = 30.0
"""Pause between two rounds. Ours."""

LOOK_S = 600.0
"""Pause between two looks at one payment, in case nobody tells us. Ours."""

PAYOUTS_S = 3_600.0
"""Pause between two looks at what was paid out. Ours: providers pay out once a day."""

AT_ONCE = 50
"""Payments that one round looks at. Ours: each is a request."""

_log = logging.getLogger("gigawatt.payments")


class Collecting:
    """Carries on what could not be finished, in a thread of its own, for providers may be slow."""

    def __init__(self, payments: Payments, payouts: Payouts, now_s: Callable[[], float]) -> None:
        """Nothing is asked before the first round."""
        self._payments = payments
        self._payouts = payouts
        self._payouts_due_s = now_s()
        self._now_s = now_s
        self._due_s = now_s() + EVERY_S
        self._looked_s: dict[str, float] = {}
        self._thread: threading.Thread | None = None

    def run_if_due(self) -> None:
        """Begin a round, if it is time and the last one is over; nobody waits for it."""
        now_s = self._now_s()
        is_busy = self._thread is not None and self._thread.is_alive()
        if not self._payments.providers or now_s < self._due_s or is_busy:
            return
        self._due_s = now_s + EVERY_S
        self._thread = threading.Thread(target=self._round, name="gigawatt-payments", daemon=True)
        self._thread.start()

    def _round(self) -> None:
        try:
            self.run()
        except Exception:  # noqa: BLE001 - the next round may go well
            _log.exception("a round of payments")

    def run(self) -> None:
        """One round: what a provider did not answer ends it for the things it is about."""
        for work in (self._ask_again, self._refund_again, self._look, self._look_at_payouts):
            try:
                work()
            except DriverRetryableError as error:
                _log.warning("payments: %s", error)

    def _ask_again(self) -> None:
        for payment in self._found(PaymentState.ASKED):
            if self._now_s() - payment.created_s > ASK_S_MAX:
                why = f"{payment.provider} gave no page within {ASK_S_MAX / 3600:.0f} h"
                book = self._payments.book
                book.end(payment.payment_id, PaymentState.FAILED, why, self._now_s())
                continue
            self._try(partial(self._payments.ask_provider, payment))

    def _refund_again(self) -> None:
        for payment, refund in self._payments.book.refunds_asked():
            self._try(partial(self._payments.send_refund, payment, refund))

    def _look(self) -> None:
        now_s = self._now_s()
        live = self._found(PaymentState.OPEN) + self._found(PaymentState.PROCESSING)
        self._looked_s = {p.payment_id: self._looked_s.get(p.payment_id, p.changed_s) for p in live}
        due = [name for name, at_s in self._looked_s.items() if now_s - at_s >= LOOK_S]
        for name in sorted(due, key=self._looked_s.__getitem__)[:AT_ONCE]:
            self._looked_s[name] = now_s
            self._try(partial(self._payments.refresh, name))

    def _look_at_payouts(self) -> None:
        now_s = self._now_s()
        if now_s >= self._payouts_due_s:
            self._payouts_due_s = now_s + PAYOUTS_S
            self._try(self._payouts.refresh)

    def _found(self, state: PaymentState) -> list[Payment]:
        found = self._payments.book.find(PaymentQuery(states=(state,), limit=10_000))
        return [money.payment for money in found]

    def _try(self, work: Callable[[], object]) -> None:
        """Do one piece; a refusal stops nothing else, silence stops the round.

        Raises:
            DriverRetryableError: nobody answers, so nobody will answer the next question either.
        """
        try:
            work()
        except DriverRetryableError:
            raise
        except GigawattError as error:
            _log.warning("payments: %s", error)
