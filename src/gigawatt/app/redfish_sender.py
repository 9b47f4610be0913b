"""One request to one BMC whose certificate is pinned, bounded in size and time."""

from time import monotonic

import requests
from typing_extensions import override

from gigawatt.app.redfish_proxy import BmcAnswer, BmcRequest
from gigawatt.drivers.redfish.bounded import Deadline
from gigawatt.drivers.redfish.connection import PinnedAdapter
from gigawatt.errors import DriverRetryableError
from gigawatt.units import MIB

ANSWER_BYTES_MAX = MIB
"""Longest answer of a BMC that is read. Ours: the largest resources have some 100 KB."""


class _FromSource(PinnedAdapter):
    """Connects from the cluster's own address, if it has one."""

    def __init__(self, fingerprint: str, deadline: Deadline, source_ipv4: str | None) -> None:
        self._source_ipv4 = source_ipv4
        super().__init__(fingerprint, deadline)

    @override
    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = False,
        **pool_kwargs: object,
    ) -> None:
        if self._source_ipv4 is not None:
            pool_kwargs["source_address"] = (self._source_ipv4, 0)
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)


def send_to_bmc(asked: BmcRequest) -> BmcAnswer:
    """The answer of a BMC.

    Raises:
        DriverRetryableError: no answer in time, too long an answer, or another certificate.
    """
    until_s = monotonic() + asked.limit_s
    adapter = _FromSource(asked.fingerprint, Deadline(asked.limit_s), asked.source_ipv4)
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", adapter)
        try:
            with session.request(
                asked.method,
                asked.url + asked.path,
                json=asked.body,
                auth=(asked.username, asked.password),
                headers={
                    "OData-Version": "4.0",
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                },
                timeout=(asked.connect_s_max, asked.limit_s),
                allow_redirects=False,
                stream=True,
                # The pinned certificate is what is checked; nobody need have signed it.
                verify=False,
            ) as response:
                return BmcAnswer(response.status_code, _bounded_body(response, until_s))
        except (requests.RequestException, OSError, ValueError) as error:
            raise DriverRetryableError(
                f"the BMC does not answer as it should: {type(error).__name__}",
                next_step="Try again; tell the operator if it lasts.",
            ) from error


def _bounded_body(response: requests.Response, until_s: float) -> bytes:
    """The body, read piece by piece so that neither its length nor its slowness is unbounded.

    Raises:
        DriverRetryableError: it is too long, or too slow.
    """
    body = b""
    while chunk := response.raw.read1(65_536):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise DriverRetryableError(f"the BMC's answer has more than {ANSWER_BYTES_MAX} bytes")
        if monotonic() > until_s:
            raise DriverRetryableError("the BMC's answer does not end in time")
    return body
