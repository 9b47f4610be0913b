"""Sessions of people who sign in to the console by showing an API key."""

import secrets

from gigawatt.app.service import Service
from gigawatt.identity.keys import SECRET_BYTE_COUNT, ApiKey, digest_of, parse_key, secret_text
from gigawatt.identity.permissions import Caller
from gigawatt.identity.sessions import (
    AGE_S_MAX,
    USER_AGENT_LENGTH_MAX,
    Browser,
    Session,
    SessionId,
    cookie_text,
    digest_with_key,
    secret_with_key,
)


def begin_key_session(service: Service, key: str, browser: Browser) -> tuple[Caller, str]:
    """Who holds a key, and the cookie of a new session as wide as the key.

    Args:
        service: which knows the key.
        key: its text.
        browser: who shows it; the session that it had ends.

    Raises:
        UnauthenticatedError: nobody holds such a key.
    """
    caller = service.authenticate(key)
    held = caller.key
    assert isinstance(held, ApiKey), "a key was shown"
    secret = secret_with_key(secret_text(secrets.token_bytes(SECRET_BYTE_COUNT)), held.key_id)
    now_s = service.now_s()
    end_s = now_s + AGE_S_MAX
    session = Session(
        session_id=SessionId(f"ses_{secrets.token_hex(8)}"),
        account_id=held.account_id,
        project_id=held.project_id,
        digest=digest_with_key(secret, digest_of(parse_key(key)[1])),
        created_s=now_s,
        last_used_s=now_s,
        expires_s=end_s if held.expires_s is None else min(end_s, held.expires_s),
        address=browser.address,
        user_agent=browser.user_agent[:USER_AGENT_LENGTH_MAX],
    )
    service.sessions.add_session(session, browser.former)
    return caller, cookie_text(session.session_id, secret)
