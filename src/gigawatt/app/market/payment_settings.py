"""Reads ``payments.yaml``: when invoices are due, and through whom they can be paid.

due_days: 30
stripe:
  return_url: https://gw.example.com/console/invoices
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gigawatt.app.clock import SystemClock
from gigawatt.app.home import Home, read_text
from gigawatt.app.secrets_key import open_secrets
from gigawatt.drivers.stripe.provider import NAME, StripePayments
from gigawatt.drivers.stripe.settings import StripeSettings
from gigawatt.errors import InputError
from gigawatt.interfaces.payments import PaymentProvider
from gigawatt.interfaces.secrets import Secrets
from gigawatt.market.owed import DUE_DAYS
from gigawatt.store.open import open_store_at

KEY_STARTS = ("sk_", "rk_")
"""How secret keys of Stripe begin; a restricted one is enough. Source: docs.stripe.com/keys."""

_HELP = "See docs/billing.md for what belongs into it, correct it, and start the server again."


class PaymentSettings(BaseModel):
    """What the operator says about payments."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    due_days: Annotated[int, Field(ge=0, le=365)] = DUE_DAYS
    stripe: StripeSettings | None = None

    def providers(self, secrets: Secrets) -> Mapping[str, PaymentProvider]:
        """Providers by name; the first is the one that is asked if nobody names one."""
        if self.stripe is None:
            return {}
        made = StripePayments(self.stripe, secrets)
        return {made.name: made}


def read_payment_settings(home: Home) -> PaymentSettings:
    """The settings of a home that has their file.

    Raises:
        InputError: the file cannot be read, or says which field is wrong.
    """
    return parse_payment_settings(read_text(home.payments_path), home.payments_path.name)


def seal_keys(home: Home, provider: str, key: str, signing_secret: str) -> None:
    """Keep a provider's secret key, and the secret with which it signs, sealed in the store.

    Raises:
        InputError: the settings of the home name no such provider, or it is no such key.
    """
    settings = read_payment_settings(home).stripe if home.payments_path.exists() else None
    if provider != NAME or settings is None:
        raise InputError(f"{home.payments_path} sets no provider {provider!r} up", next_step=_HELP)
    for text, start, what in ((key, KEY_STARTS, "key"), (signing_secret, ("whsec_",), "secret")):
        if not text.startswith(start):
            raise InputError(f"a {what} of Stripe begins with {' or '.join(start)}")
    with closing(open_store_at(home.store_place)) as store:
        kept = open_secrets(home, store, SystemClock())
        kept.put(settings.secret_ref, key)
        kept.put(settings.webhook_secret_ref, signing_secret)


def parse_payment_settings(text: str, name: str) -> PaymentSettings:
    """The settings in the YAML text of the file called ``name``.

    Raises:
        InputError: says which field, and what is wrong with it.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{name} is not YAML", next_step=_HELP) from error
    try:
        return PaymentSettings.model_validate(found or {})
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(str(part) for part in finding['loc']) or 'the file'}: {finding['msg']}"
            for finding in error.errors(include_input=False, include_url=False)[:10]
        )
        # Not chained: the library's own text could show what was in the file.
        raise InputError(f"{name}: {said}", next_step=_HELP) from None
