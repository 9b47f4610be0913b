"""What DSP0266 asks of every answer, whichever resource it comes from.

OData versions, query parameters, ``$expand``, entity tags, and the headers that say what may be
done and which schema describes it.
"""

import hashlib
import json
from dataclasses import replace
from typing import Any

from gigawatt.lab.redfish.answer import Answer, Json, RefusedError
from gigawatt.lab.redfish.documents import METADATA_PATH, SCHEMAS
from gigawatt.lab.redfish.request import Request
from gigawatt.lab.redfish.routes import answer as answer_of_route
from gigawatt.lab.redfish.routes import methods_of
from gigawatt.lab.redfish.users import ACCOUNTS

READING = ("GET", "HEAD")


def answer(request: Request) -> Answer:
    """The whole answer of a BMC.

    Raises:
        RefusedError: it refuses.
    """
    _check_words(request)
    _check_tag(request)
    given = answer_of_route(request)
    if request.method not in READING or given.status != 200:
        return given
    if "$expand" in request.query and given.body is not None:
        given = replace(given, body=_expanded(request, given.body))
    given = replace(given, headers={**_headers(request, given), **given.headers})
    return _tagged(request, given) if request.path.startswith(f"{ACCOUNTS}/") else given


def _tagged(request: Request, given: Answer) -> Answer:
    """An account with its tag, which is how two who change it learn of each other."""
    tag = _tag_of(given.body)
    headers = {**given.headers, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Answer(304, headers=headers)
    return replace(given, body={**(given.body or {}), "@odata.etag": tag}, headers=headers)


def _check_words(request: Request) -> None:
    """Refuse what must not be passed over in silence (DSP0266, sections 7.1 and 7.3)."""
    if request.headers.get("odata-version", "4.0") != "4.0":
        raise RefusedError(412, "HeaderInvalid", "OData-Version is 4.0 here")
    for name, value in request.query.items():
        is_known = name == "$expand" and value.startswith(".")
        if name.startswith("$") and not is_known:
            raise RefusedError(501, "QueryNotSupported", f"{name}={value} is not known here")


def _check_tag(request: Request) -> None:
    """Refuse to change what is not any more as the client saw it (section 6.5)."""
    wanted = request.headers.get("if-match", "*")
    if wanted == "*" or request.method in READING:
        return
    now = answer_of_route(replace(request, method="GET"))
    if wanted != _tag_of(now.body):
        raise RefusedError(412, "PreconditionFailed", "it was changed since it was read")


def _tag_of(body: Json | None) -> str:
    raw = json.dumps(body, sort_keys=True).encode()
    return f'"{hashlib.sha256(raw).hexdigest()[:16]}"'


def _headers(request: Request, given: Answer) -> dict[str, str]:
    headers = {"Allow": ", ".join(methods_of(request.path))}
    if given.body is None:
        return headers
    kind = str(given.body.get("@odata.type", "")).lstrip("#").rpartition(".")[0]
    schema = f"{SCHEMAS}/{kind}.json" if kind else METADATA_PATH
    return {**headers, "Link": f"<{schema}>; rel=describedby"}


def _expanded(request: Request, body: Json) -> Json:
    """The resource with what is subordinate to it one level deep, as far as who asks may see it."""
    return {name: v if name == "Links" else _filled(request, v) for name, v in body.items()}


def _filled(request: Request, value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_filled(request, one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"@odata.id"}:
        return {name: _filled(request, one) for name, one in value.items()}
    try:
        found = answer_of_route(replace(request, method="GET", path=value["@odata.id"]))
    except RefusedError:
        return value
    return found.body
