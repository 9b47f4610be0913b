"""The operator's login settings.

Goal: settings that are wrong are refused when the server starts, with the field and no secret;
those that are right are read. Method: good settings with one fault each; a home with files.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.app.home import Home
from gigawatt.app.login.settings import read_secret, read_settings
from gigawatt.errors import InputError
from gigawatt.identity.provider import is_safe_url, parse_settings

GOOD = """
public_url: https://gw.example.com
issuer: https://login.example.com/tenant
client_id: gigawatt
client_secret_file: secret
email_domains: [example.com]
admit:
  - {claim: realm_access.roles, value: gpu, organisation: acme, role: member}
  - {email_domain: example.com, organisation: acme, role: read_only}
"""


def test_good_settings_are_read():
    found = parse_settings(GOOD, "login.yaml")
    assert found.has_tls
    assert (found.idle_minutes, found.session_hours) == (30, 12)
    nested = {"realm_access": {"roles": ["gpu", "cpu"]}}
    rule = found.rule_for(nested, None)
    assert rule is not None
    assert rule.role == "member"
    by_address = found.rule_for({"realm_access": "gpu"}, "ada@example.com")
    assert by_address is not None
    assert by_address.role == "read_only"
    assert found.rule_for({"realm_access": {"roles": "gpus"}}, "ada@sub.example.com") is None
    assert found.rule_for({}, "ada@notexample.com") is None
    assert found.is_welcome("ada@example.com")
    assert not found.is_welcome("ada@example.com.evil.example")
    assert not found.is_welcome(None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("https://gw.example.com", "http://gw.example.com", "public_url"),
        ("https://gw.example.com", "https://gw.example.com/path", "public_url"),
        ("https://login.example.com", "http://login.example.com", "issuer"),
        ("https://login.example.com", "https://user:pass@login.example.com", "issuer"),
        ("client_id: gigawatt", "client_id: ''", "client_id"),
        ("client_id: gigawatt\n", "", "client_id"),
        ("client_secret_file: secret\n", "", "client_secret_file and client_secret_variable"),
        ("client_secret_file: secret", "client_secret: S3CRET", "client_secret"),
        ("role: member", "role: king", "admit.0.role"),
        ("value: gpu, ", "", "admit.0"),
        ("email_domain: example.com,", "", "admit.1"),
        ("email_domain: example.com,", "email_domain: '@example.com',", "admit.1.email_domain"),
        ("[example.com]", "example.com", "email_domains"),
        ("client_id: gigawatt", "client_id: gigawatt\nidle_minutes: 0", "idle_minutes"),
        ("client_id: gigawatt", "client_id: [", "not YAML in line"),
        (GOOD, "just text", "the file"),
        (GOOD, "", "the file"),
    ],
)
def test_a_fault_is_said_with_its_field(old: str, new: str, said: str):
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        parse_settings(GOOD.replace(old, new, 1), "login.yaml")
    assert said in str(caught.value)
    assert "login.yaml" in str(caught.value)
    assert "S3CRET" not in str(caught.value)
    assert "docs/identity.md" in caught.value.next_step


def test_a_home_without_settings_has_no_login(tmp_path: Path):
    assert read_settings(Home(tmp_path)) is None


def test_the_secret_comes_from_a_file_that_not_everybody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "secret"
    home = Home(tmp_path)
    home.login_path.write_text(GOOD.replace("file: secret", f"file: {path}"), encoding="utf-8")
    settings = read_settings(home)
    assert settings is not None
    with pytest.raises(InputError, match="cannot be read"):
        read_secret(settings)
    path.write_text("s3cret\n", encoding="utf-8")
    path.chmod(0o644)
    with pytest.raises(InputError, match="by everybody") as caught:
        read_secret(settings)
    assert "s3cret" not in str(caught.value)
    path.chmod(0o640)
    assert read_secret(settings) == "s3cret"
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match="no client secret"):
        read_secret(settings)
    text = GOOD.replace("client_secret_file: secret", "client_secret_variable: GW_SECRET")
    from_variable = parse_settings(text, "login.yaml")
    with pytest.raises(InputError, match="GW_SECRET"):
        read_secret(from_variable)
    monkeypatch.setenv("GW_SECRET", "s")
    assert read_secret(from_variable) == "s"


@given(st.text(max_size=50))
def test_any_text_is_read_or_refused(text: str):
    try:
        parse_settings(text, "login.yaml")
    except InputError:
        return
    raise AssertionError("no short text has all that is needed")


@given(st.text(max_size=40).map(lambda text: f"http://{text}"))
def test_no_url_without_tls_leaves_this_computer(text: str):
    if is_safe_url(text):
        assert text.lower().startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))
