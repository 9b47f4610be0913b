"""API keys, names and quotas.

Goal: a key opens only with its own secret while it is in force; a quota is exact to one GPU.
Method: properties over random secrets, times and counts; every refusal has a case.
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import InputError, QuotaError, UnauthenticatedError
from gigawatt.identity.accounts import AccountId, ApiKeyId, OrganisationId, Project, check_label
from gigawatt.identity.keys import ApiKey, check_key, digest_of, key_text, parse_key, secret_text
from gigawatt.identity.quota import check_quota
from gigawatt.ids import TenantId

secrets = st.binary(min_size=32, max_size=32)


def key_with(secret: str) -> ApiKey:
    return ApiKey(
        key_id=ApiKeyId("key_0123456789abcdef"),
        account_id=AccountId("acc_a"),
        project_id=None,
        name="k",
        digest=digest_of(secret),
        created_s=0.0,
        expires_s=None,
        last_used_s=None,
        revoked_s=None,
    )


@given(secrets)
def test_a_key_reads_back_and_opens(random_bytes: bytes):
    secret = secret_text(random_bytes)
    key = key_with(secret)
    key_id, found = parse_key(key_text(key.key_id, secret))
    assert (key_id, found) == (key.key_id, secret)
    assert check_key(key, found, 1.0) is key
    assert secret not in repr(key)


@given(secrets, secrets)
def test_another_secret_does_not_open(one: bytes, other: bytes):
    if one != other:
        with pytest.raises(UnauthenticatedError):
            check_key(key_with(secret_text(one)), secret_text(other), 1.0)


@given(secrets, st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_a_key_opens_until_it_expires(random_bytes: bytes, expires_s: float, now_s: float):
    secret = secret_text(random_bytes)
    key = replace(key_with(secret), expires_s=expires_s)
    if now_s < expires_s:
        assert check_key(key, secret, now_s) is key
    else:
        with pytest.raises(UnauthenticatedError):
            check_key(key, secret, now_s)


def test_every_refusal_says_the_same():
    secret = secret_text(bytes(32))
    revoked = replace(key_with(secret), revoked_s=1.0)
    said = set()
    for key, tried in ((None, secret), (key_with(secret), "x"), (revoked, secret), (None, "")):
        with pytest.raises(UnauthenticatedError) as caught:
            check_key(key, tried, 2.0)
        said.add(str(caught.value))
    assert len(said) == 1


@given(st.text(max_size=80))
def test_any_text_is_a_key_or_is_refused(text: str):
    with pytest.raises(UnauthenticatedError):
        parse_key(text)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\x00", "x" * 129])
def test_a_name_that_breaks_a_line_is_refused(name: str):
    with pytest.raises(InputError):
        check_label("a thing", name)


@given(st.integers(0, 10_000), st.integers(0, 20_000), st.integers(-10_000, 10_000))
def test_a_quota_is_exact(granted: int, held: int, more: int):
    project = Project(TenantId("ten_a"), OrganisationId("org_a"), "p", granted, 0.0)
    if more <= 0 or held + more <= granted:
        check_quota(project, held, more)
    else:
        with pytest.raises(QuotaError) as caught:
            check_quota(project, held, more)
        assert f"{granted:,}" in str(caught.value)
