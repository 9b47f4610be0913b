"""Login at a command line.

Goal: a person confirms a code in a browser and the command line has a key that is theirs, ends by
itself and is shown once; a provider without this login says what to do instead. Method: the client
of the SDK against a real provider, whose device pages a browser fills.
"""

from typing import Any

import pytest

from gigawatt.errors import DriverPermanentError, ForbiddenError, UnauthenticatedError
from gigawatt.sdk import Client
from gigawatt.sdk import documents as doc
from gigawatt.sdk.login import log_in_by_device


def log_in(site: Any, person: str, **more: Any) -> Any:
    """The key of a person who confirms after the first look."""
    shown: list[Any] = []
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            done = site.browser(person).visit(shown[0].whole_url)
            assert "Sign-in Success" in done.text

    with Client(site.world.url, "") as client:
        key = log_in_by_device(client, shown.append, pause=pause, **more)
    assert len(looks) >= 2
    return key


def test_a_command_line_gets_a_key_of_whoever_confirms(site: Any):
    site.invite("ada@acme.example")
    key = log_in(site, "ada", name="laptop", lifetime_s=3_600)
    assert round((key.expires_at - key.created_at).total_seconds()) == 3_600
    with Client(site.world.url, key.key) as client:
        me = client.who_am_i()
        assert (me.name, me.role, me.csrf_token) == ("ada@acme.example", "member", None)
        assert [(each.name, each.key) for each in client.list_api_keys().items] == [
            ("laptop", None)
        ]
    weekly = log_in(site, "ada")
    assert round((weekly.expires_at - weekly.created_at).total_seconds()) == 7 * 86_400
    assert weekly.account_id == key.account_id


def test_whom_nobody_asked_in_gets_no_key(site: Any):
    with pytest.raises(ForbiddenError):
        log_in(site, "eve")


def test_a_code_is_used_up_by_the_first_key(site: Any):
    site.invite("ada@acme.example")
    with Client(site.world.url, "") as client:
        begun = client.start_device_login()
        asked = doc.FinishDeviceLogin(device_code=begun.device_code)
        assert client.finish_device_login(asked).state in {"pending", "slow_down"}
        site.browser("ada").visit(begun.whole_url)
        assert client.finish_device_login(asked).state == "done"
        for code in (begun.device_code, "made-up"):
            with pytest.raises(UnauthenticatedError):
                client.finish_device_login(doc.FinishDeviceLogin(device_code=code))


def test_a_provider_without_device_login_says_what_to_do(site: Any):
    site.provider.stop()
    site.provider.options["with_device"] = False
    site.provider.start()
    with Client(site.world.url, "") as client, pytest.raises(DriverPermanentError) as caught:
        client.start_device_login()
    assert "make an API key there" in caught.value.next_step
