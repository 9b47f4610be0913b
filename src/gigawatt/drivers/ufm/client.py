"""UFM's REST API for P_Keys: what it lists, and how it is told.

| what | request |
|---|---|
| all partitions with members | GET resources/pkeys?guids_data=true |
| add members, or change them | POST resources/pkeys/ {pkey, guids, memberships, ...} |
| have these members only | PUT resources/pkeys/ {pkey, guids, memberships, ...} |
| drop a partition | DELETE resources/pkeys/PKEY |
| how a job goes | GET jobs/ID |

A password signs in below ``/ufmRest``, an access token below ``/ufmRestV3``. An answer 202 names a
job, which is followed to its end.
Source: NVIDIA UFM Enterprise REST API Guide v6.22, "PKey GUIDs Rest API" and "Jobs REST API".
"""

import base64
import json
import re
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from gigawatt.boundary.entries import Membership
from gigawatt.drivers.ufm.settings import UfmSettings
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.secrets import Secrets

ANSWER_BYTES_MAX = 64 << 20
"""10,000 ports in three partitions each are some 2 MB. Ours."""
SAID_MAX = 200
JOB_POLL_S = 0.2
RETRYABLE = frozenset({408, 425, 429})
"""Statuses below 500 that say "later"; RFC 6585 and 9110."""
_JOB = re.compile(r"(?:^|/)jobs/(\w[\w.-]*)/?$")

Members = Mapping[int, Membership]
"""Memberships by port GUID."""


class UfmClient:
    """One UFM; nothing is kept between two calls but who signs in."""

    def __init__(self, settings: UfmSettings, secrets: Secrets, clock: Clock) -> None:
        """Call the UFM of ``settings``; its secret is read anew for every call."""
        self._settings = settings
        self._secrets = secrets
        self._clock = clock
        self._tls: ssl.SSLContext | None = None

    async def ib_partitions(self) -> dict[int, dict[int, Membership]]:
        """Members by P_Key, the default partition too where UFM lists it.

        Raises:
            DriverRetryableError: UFM does not answer, or not in its own form.
            DriverPermanentError: it refuses.
        """
        answer = await self._call("GET", "resources/pkeys?guids_data=true")
        try:
            return {int(name, 16): _members(row) for name, row in answer.items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._error(
                DriverRetryableError, f"its list of P_Keys reads: {error!r}"
            ) from error

    async def add(self, p_key: int, members: Members) -> None:
        """Make ports members of a partition, which is made if it is not there.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
        """
        await self._call("POST", "resources/pkeys/", self._body(p_key, members))

    async def set(self, p_key: int, members: Members) -> None:
        """Make a partition have these members only; none drops it.

        Raises:
            DriverRetryableError: may or may not have happened.
            DriverPermanentError: refused.
        """
        if members:
            await self._call("PUT", "resources/pkeys/", self._body(p_key, members))
        else:
            await self._call("DELETE", f"resources/pkeys/{p_key:#x}", is_absence_right=True)

    def _body(self, p_key: int, members: Members) -> dict[str, object]:
        guids = sorted(members)
        return {
            "pkey": f"{p_key:#x}",
            "guids": [f"{guid:016x}" for guid in guids],
            "memberships": [members[guid] for guid in guids],
            "ip_over_ib": self._settings.is_ip_over_ib,
            "index0": False,
        }

    async def _call(
        self, method: str, path: str, body: object = None, *, is_absence_right: bool = False
    ) -> dict[str, Any]:
        status, location, said = await self._send(method, path, body)
        if status == 404 and is_absence_right:
            return {}
        if status >= 500 or status in RETRYABLE:
            raise self._error(DriverRetryableError, f"{method} {path}: {status} {_shown(said)}")
        if not 200 <= status < 300:
            raise self._error(DriverPermanentError, f"{method} {path}: {status} {_shown(said)}")
        answer = self._read(said, f"{method} {path}") if said.strip() else {}
        if status == 202:
            job_id = _job_id(location, answer)
            if job_id is None:
                raise self._error(DriverRetryableError, f"{method} {path}: 202 names no job")
            await self._follow(job_id)
        return answer if isinstance(answer, dict) else {}

    async def _follow(self, job_id: str) -> None:
        """Wait until a job has ended well."""
        until_s = self._clock.now_s() + self._settings.change_s_max
        while True:
            status, _, said = await self._send("GET", f"jobs/{job_id}", None)
            job = self._read(said, f"job {job_id}") if status == 200 else None
            state = job.get("Status") if isinstance(job, dict) else f"answer {status}"
            if state == "Completed":
                return
            if state not in ("Running", "Pending", "Created"):
                summary = job.get("Summary", "") if isinstance(job, dict) else ""
                raise self._error(
                    DriverRetryableError, f"job {job_id}: {state} {str(summary)[:SAID_MAX]}"
                )
            if self._clock.now_s() >= until_s:
                raise self._error(
                    DriverRetryableError,
                    f"job {job_id} did not end within {self._settings.change_s_max:g} s",
                )
            await self._clock.sleep(JOB_POLL_S)

    async def _send(self, method: str, path: str, body: object) -> tuple[int, str, bytes]:
        """Status, Location and body of one answer."""
        base = "/ufmRest/" if self._settings.sign_in == "basic" else "/ufmRestV3/"
        headers = {"Authorization": self._authorization(), "Accept": "application/json"}
        try:
            async with (
                httpx.AsyncClient(
                    base_url=self._settings.url,
                    verify=self._trusted(),
                    timeout=self._settings.request_s_max,
                    trust_env=False,
                ) as http,
                http.stream(method, base + path, json=body, headers=headers) as answer,
            ):
                said = bytearray()
                async for chunk in answer.aiter_bytes():
                    said += chunk
                    if len(said) > ANSWER_BYTES_MAX:
                        raise self._error(
                            DriverRetryableError, f"more than {ANSWER_BYTES_MAX} bytes came"
                        )
                return answer.status_code, answer.headers.get("location", ""), bytes(said)
        except httpx.HTTPError as error:
            what = f"{method} {path}: {type(error).__name__} {error}"
            raise self._error(DriverRetryableError, what) from error

    def _authorization(self) -> str:
        secret = self._secrets.read(self._settings.secret_ref)
        if self._settings.sign_in == "token":
            # UFM takes its access tokens under this word, as they are.
            return f"Basic {secret}"
        pair = f"{self._settings.username}:{secret}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _trusted(self) -> ssl.SSLContext | bool:
        if self._settings.url.startswith("http://"):
            return False
        if self._tls is None:
            path = self._settings.ca_path
            self._tls = ssl.create_default_context(cafile=str(path) if path else None)
        return self._tls

    def _read(self, said: bytes, what: str) -> Any:  # noqa: ANN401 - any JSON
        try:
            return json.loads(said)
        except ValueError as error:
            reason = f"{what}: no JSON but {_shown(said)}"
            raise self._error(DriverRetryableError, reason) from error

    def _error(
        self, kind: type[DriverRetryableError] | type[DriverPermanentError], reason: str
    ) -> DriverRetryableError | DriverPermanentError:
        settings = self._settings
        return kind(
            f"UFM at {settings.url}: {reason}",
            next_step=f"Look at UFM's log and at the account of {settings.secret_ref!r}; then run"
            " 'gw reconcile'.",
        )


def _members(row: Mapping[str, Any]) -> dict[int, Membership]:
    found: dict[int, Membership] = {}
    for port in row.get("guids") or ():
        how = str(port["membership"])
        if how not in ("full", "limited"):
            raise ValueError(f"membership is {how!r}")
        found[int(port["guid"], 16)] = "full" if how == "full" else "limited"
    return found


def _job_id(location: str, answer: object) -> str | None:
    match = _JOB.search(location)
    if match:
        return match[1]
    named = answer.get("job_id") if isinstance(answer, dict) else None
    return named if isinstance(named, str) and re.fullmatch(r"\w[\w.-]*", named) else None


def _shown(said: bytes) -> str:
    text = said[:SAID_MAX].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text)
