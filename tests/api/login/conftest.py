"""A service with a real OpenID provider beside it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gigawatt.app.service import make_login
from gigawatt.identity.provider import parse_settings
from openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    Browser,
    OpenidProcess,
    new_key,
    node_program,
)

PEOPLE = {
    "ada": {"email": "Ada@acme.example", "email_verified": True, "name": "Ada"},
    "bob": {"email": "bob@acme.example", "email_verified": False},
    "eve": {"email": "eve@evil.example", "email_verified": True},
    "olu": {"groups": ["gpu-admins", "others"]},
    "pia": {"email": "pia@pupils.example", "email_verified": True},
}
"""Who the provider knows."""

RULES = """
admit:
  - {claim: groups, value: gpu-admins, organisation: acme, role: owner}
  - {email_domain: pupils.example, organisation: other, role: read_only}
"""


@dataclass
class Site:
    """A world whose people can log in, and the provider that knows them."""

    world: Any
    provider: OpenidProcess
    browsers: list[Browser] = field(default_factory=list)

    def browser(self, name: str) -> Browser:
        self.browsers.append(Browser(name))
        return self.browsers[-1]

    def login_url(self, query: str = "") -> str:
        return f"{self.world.url}/gw/v1/login{query}"

    def logged_in(self, name: str, query: str = "") -> Browser:
        """A browser in which somebody is logged in."""
        browser = self.browser(name)
        browser.visit(self.login_url(query))
        me = browser.http.get(f"{self.world.url}/gw/v1/me")
        assert me.status_code == 200, me.text
        return browser

    def invite(self, email: str, role: str = "member", **more: str) -> dict[str, Any]:
        """An invitation into acme."""
        path = f"/organisations/{self.world.ids['acme']['organisation']}/invitations"
        made: dict[str, Any] = self.world.ok(
            "acme.owner", "POST", path, {"email": email, "role": role, **more}
        )
        return made


def settings_text(world: Any, issuer: str, more: str = RULES) -> str:
    return (
        f"public_url: {world.url}\nissuer: {issuer}\nclient_id: {CLIENT_ID}\n"
        f"client_secret_variable: NOT_READ_HERE\n{more}"
    )


@pytest.fixture(scope="session")
def settings_of() -> Any:
    """What makes the text of login settings."""
    return settings_text


@pytest.fixture
def site(tmp_path: Path, quiet_world: Any) -> Iterator[Site]:
    """A site of a test's own."""
    if node_program() is None:
        pytest.skip("'make oidc' was not run: the provider of tests/oidc is not installed")
    world = quiet_world
    provider = OpenidProcess(tmp_path, f"{world.url}/gw/v1/login/callback", PEOPLE)
    provider.start()
    settings = parse_settings(settings_text(world, provider.issuer), "login.yaml")
    world.service.login = make_login(world.service, settings, CLIENT_SECRET)
    made = Site(world, provider)
    try:
        yield made
    finally:
        for browser in made.browsers:
            browser.close()
        provider.stop()


@pytest.fixture(scope="session")
def new_signing_key() -> Any:
    """What makes a key that a provider signs with."""
    return new_key
