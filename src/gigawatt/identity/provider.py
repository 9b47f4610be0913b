"""How people log in: the operator's settings, read from ``login.yaml``, and whom they admit.

Nobody is admitted unless a rule or an invitation says so.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from gigawatt.errors import InputError
from gigawatt.identity.accounts import AccountRole
from gigawatt.identity.invitations import email_domain
from gigawatt.identity.sessions import AGE_S_MAX, IDLE_S_MAX
from gigawatt.units import HOUR_S, MINUTE_S

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts that may be spoken to without TLS. Source: RFC 8252, 8.3."""

_Word = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[!-~]+$")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
_MailDomain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Rule(_Settings):
    """Admits whoever has a value in a claim, or a verified e-mail address at a domain.

    Fields:
        claim: name of the claim; dots lead into objects, e.g. ``realm_access.roles``.
        value: what it must be, or hold if it is a list.
        email_domain: of a verified address, instead of a claim.
        organisation: name of the organisation that they come into.
        role: what they may do there.
    """

    claim: _Text | None = None
    value: _Text | None = None
    email_domain: _MailDomain | None = None
    organisation: _Text
    role: AccountRole

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        by_claim = self.claim is not None and self.value is not None
        if by_claim == (self.email_domain is not None) or (self.claim is None) != (
            self.value is None
        ):
            raise ValueError("wanted either claim and value, or email_domain")
        return self

    def admits(self, claims: Mapping[str, Any], email: str | None) -> bool:
        """Whether it admits a person; ``email`` is plain and verified, or None."""
        if self.email_domain is not None:
            return email is not None and email_domain(email) == self.email_domain
        found = _claim_of(claims, self.claim or "")
        values = found if isinstance(found, list) else [found]
        return any(isinstance(each, str) and each == self.value for each in values)


def _claim_of(claims: Mapping[str, Any], name: str) -> object:
    """A claim by its own name, else along its dots."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


class LoginSettings(_Settings):
    """What the operator says about login.

    Fields:
        public_url: where browsers reach this service; cookies are bound to TLS if it is https.
        issuer: the OpenID provider, exactly as it names itself.
        client_id: our name there.
        client_secret_file, client_secret_variable: where our secret is; one of them.
        scopes: what is asked for; ``openid`` is always.
        email_domains: if any, whose verified e-mail addresses may log in at all.
        admit: rules, the first that fits counts.
        idle_minutes, session_hours: when sessions end.
    """

    public_url: _Word
    issuer: _Word
    client_id: _Word
    client_secret_file: _Text | None = None
    client_secret_variable: _Text | None = None
    scopes: tuple[_Word, ...] = ("openid", "email", "profile")
    email_domains: tuple[_MailDomain, ...] = ()
    admit: tuple[Rule, ...] = ()
    idle_minutes: Annotated[int, Field(ge=1, le=720)] = int(IDLE_S_MAX) // MINUTE_S
    session_hours: Annotated[int, Field(ge=1, le=720)] = int(AGE_S_MAX) // HOUR_S

    @field_validator("public_url", "issuer")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if not is_safe_url(url) or urlsplit(url).query or urlsplit(url).fragment:
            raise ValueError("wanted https://HOST, or http://127.0.0.1 to try it out")
        return url

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, url: str) -> str:
        if urlsplit(url).path not in {"", "/"}:
            raise ValueError("wanted scheme and host alone, without a path")
        return url.rstrip("/").lower()

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.client_secret_file is None) == (self.client_secret_variable is None):
            raise ValueError("wanted one of client_secret_file and client_secret_variable")
        return self

    @property
    def has_tls(self) -> bool:
        """Whether browsers reach us by TLS."""
        return self.public_url.startswith("https://")

    def rule_for(self, claims: Mapping[str, Any], email: str | None) -> Rule | None:
        """The first rule that admits a person, None if none does."""
        return next((rule for rule in self.admit if rule.admits(claims, email)), None)

    def is_welcome(self, email: str | None) -> bool:
        """Whether a person with this verified e-mail address may log in at all."""
        if not self.email_domains:
            return True
        return email is not None and email_domain(email) in self.email_domains


def is_safe_url(url: str) -> bool:
    """Whether a URL leads over TLS, or stays on this computer; without a user name in it."""
    try:
        parts = urlsplit(url)
        # Reading it refuses a number that is none.
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def parse_settings(text: str, name: str) -> LoginSettings:
    """The settings in the YAML text of the file called ``name``.

    Raises:
        InputError: says which field, and what is wrong with it.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise InputError(f"{name} is not YAML{where}", next_step=_HELP) from error
    try:
        return LoginSettings.model_validate(found)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(str(part) for part in finding['loc']) or 'the file'}: {finding['msg']}"
            for finding in error.errors(include_input=False, include_url=False)[:10]
        )
        # Not chained: the library's own text could show what was in the file.
        raise InputError(f"{name}: {said}", next_step=_HELP) from None


_HELP = "See docs/identity.md for what belongs into it, correct it, and start the server again."
