"""A session with one BMC: its certificate pinned, its time limited, its errors in our words."""

import json
import ssl
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache

import requests
import sushy
from requests.adapters import HTTPAdapter
from sushy import exceptions as said_by_sushy
from sushy.auth import AuthBase, BasicAuth, SessionAuth
from sushy.connector import Connector
from typing_extensions import override

from gigawatt.drivers.redfish.bounded import Deadline
from gigawatt.drivers.redfish.settings import BmcAddress, BmcReach
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import DeviceId, NodeId

SAID_MAX = 300
"""Characters of a BMC's own words that an error shows. Ours."""
AGAIN = {408, 409, 423, 425, 429}
"""Refusals that pass by themselves: RFC 9110 and RFC 6585; 409 and 423 by DSP0266, 7.6."""

SESSIONS_TAKEN = "SessionLimitExceeded"
"""Message of a BMC that has no session left (DSP2065, the registry Base)."""

NO_REDFISH = (ValueError, KeyError, TypeError, AttributeError)
"""What reading an answer raises that was cut off, or is not of the form that the standard says."""


@cache
def _unsigned() -> ssl.SSLContext:
    """TLS without authorities: reading those of the system takes longer than a request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class PinnedAdapter(HTTPAdapter):
    """Speaks only to who shows the one certificate, and begins nothing after the deadline."""

    def __init__(self, fingerprint: str, deadline: Deadline) -> None:
        """Pin the certificate with this SHA-256, in hexadecimal."""
        self._fingerprint = fingerprint
        self._deadline = deadline
        super().__init__()

    @override
    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: object
    ) -> None:
        """See ``requests.adapters.HTTPAdapter``."""
        pool_kwargs |= {
            "assert_fingerprint": self._fingerprint,
            "assert_hostname": False,
            "ssl_context": _unsigned(),
        }
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)

    @override
    def add_headers(self, request: requests.PreparedRequest, **kwargs: object) -> None:
        """What ``requests`` calls before each request.

        Raises:
            requests.Timeout: the time of the call is up.
        """
        if self._deadline.left_s() <= 0:
            raise requests.Timeout("the time of the call is up")


def is_without_sessions(error: said_by_sushy.HTTPError) -> bool:
    """Whether a BMC refuses a session because all are taken."""
    return SESSIONS_TAKEN in str(error)


def connector_to(address: BmcAddress, reach: BmcReach, deadline: Deadline) -> Connector:
    """A connector of sushy's that sends to one BMC; it logs nobody in."""
    connector = Connector(
        url_of(address),
        # The pinned certificate is what is checked; nobody need have signed it.
        verify=False,
        server_side_retries=1,
        default_request_timeout=reach.request_s_max,
        connect_timeout=reach.connect_s_max,
    )
    session = connector._session  # noqa: SLF001 - sushy has no other way to pin a certificate
    session.mount("https://", PinnedAdapter(address.fingerprint, deadline))
    # sushy closes the connection after each request, for those who keep a connector for days;
    # ours lives for one call, and a handshake costs a BMC more than a request.
    session.headers["Connection"] = "keep-alive"
    session.trust_env = False
    return connector


def url_of(address: BmcAddress) -> str:
    """Where its service begins."""
    return f"https://{address.ipv4}:{address.tcp_port}"


def operator_password(reach: BmcReach, node_id: NodeId) -> str:
    """Password of the operator's account on one BMC.

    Raises:
        DriverPermanentError: the file cannot be read, or does not have it.
    """
    try:
        passwords = json.loads(reach.passwords_path.read_text(encoding="utf-8"))
        return str(passwords[node_id])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DriverPermanentError(
            f"{reach.passwords_path} has no password of the BMC of node {node_id}:"
            f" {type(error).__name__}",
            next_step="Write a JSON object of node ids and passwords there, readable to us alone.",
        ) from error


@contextmanager
def connected(reach: BmcReach, node_id: NodeId, deadline: Deadline) -> Iterator[sushy.Sushy]:
    """A session of the operator; closed at the end.

    Where no session is left, name and password go with each request (DSP0266, 13.3.1): otherwise
    whoever may log in shuts the operator out for as long as sessions last.

    Raises:
        DriverPermanentError: there is no password.
    """
    address = reach.bmcs[node_id]
    login = (reach.username, operator_password(reach, node_id))
    with closing(connector_to(address, reach, deadline)) as connector:
        auth: AuthBase = SessionAuth(*login)
        try:
            root = sushy.Sushy(url_of(address), auth=auth, connector=connector)
        except said_by_sushy.HTTPError as error:
            if not is_without_sessions(error):
                raise
            auth = BasicAuth(*login)
            root = sushy.Sushy(url_of(address), auth=auth, connector=connector)
        try:
            yield root
        finally:
            with suppress(said_by_sushy.SushyError):
                auth.close()


@contextmanager
def said(device: DeviceId, what: str, hidden: Collection[str] = ()) -> Iterator[None]:
    """Turn what sushy raises to errors of ours; no word of ``hidden`` is repeated.

    Raises:
        DriverRetryableError: no answer, one that passes, or one that cannot be read.
        DriverPermanentError: the BMC refused, or is not what the settings say.
    """

    def words_of(error: Exception) -> str:
        told = repr(error) if isinstance(error, NO_REDFISH) else str(error)
        for secret in hidden:
            told = told.replace(secret, "***")
        return f"{device}: could not {what}: {told[:SAID_MAX]}"

    try:
        yield
    except said_by_sushy.HTTPError as error:
        words = words_of(error)
        if not 400 <= error.status_code < 500 or error.status_code in AGAIN:
            raise DriverRetryableError(words, device=device) from error
        raise DriverPermanentError(words, device=device) from error
    except said_by_sushy.ConnectionError as error:
        words = words_of(error)
        if "Fingerprints did not match" in str(error):
            raise DriverPermanentError(
                words,
                device=device,
                next_step="Find out who answers there; set the fingerprint anew only if the BMC's"
                " certificate was changed by you.",
            ) from error
        raise DriverRetryableError(words, device=device) from error
    except said_by_sushy.SushyError as error:
        raise DriverPermanentError(words_of(error), device=device) from error
    except NO_REDFISH as error:
        raise DriverRetryableError(words_of(error), device=device) from error
