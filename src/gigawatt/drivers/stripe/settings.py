"""Settings of payments through Stripe, as ``payments.yaml`` has them below ``stripe``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from gigawatt.identity.provider import is_safe_url

API_URL = "https://api.stripe.com"

_Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]


class StripeSettings(BaseModel):
    """One account at Stripe.

    Fields:
        return_url: where a payer's browser goes from Stripe's page, paid or not.
        secret_ref: name of the secret key in the store of secrets.
        webhook_secret_ref: name of the secret with which Stripe signs what it tells us.
        api_url: where Stripe is.
        request_s_max: longest wait for one answer, in seconds.
        methods: how payers may pay, in Stripe's words; left out: what Stripe's dashboard says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    driver: Literal["stripe"] = "stripe"
    return_url: _Word
    secret_ref: _Word = "stripe/key"  # noqa: S105 - its name
    webhook_secret_ref: _Word = "stripe/webhook"  # noqa: S105 - its name
    api_url: _Word = API_URL
    request_s_max: Annotated[float, Field(gt=0, le=60)] = 20.0
    methods: tuple[Literal["card", "us_bank_account", "customer_balance"], ...] = ()

    @field_validator("return_url", "api_url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if not is_safe_url(url):
            raise ValueError("wanted https://HOST, or http://127.0.0.1 to try it out")
        return url.rstrip("/")
