"""Any request at all.

Goal: no request makes a server error, or an answer that our own document does not describe.
Method: schemathesis makes requests from the OpenAPI document, good and bad ones, against a real
server, as an operator, whom nothing stops at the door. Operations are committed and never carried
out. Status, headers, content type and body are judged for every answer.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gigawatt.identity.permissions import PERMISSIONS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
QUICK_COUNT, LONG_COUNT = 4, 100
"""Requests for each operation and mode in the quick suite, and in the long one."""
STREAMS = {"stream_events", "stream_operation"}
"""Their answers have no end."""
OPERATIONS = sorted(n for n in PERMISSIONS if "_lambda_" not in n and n not in STREAMS)
LAMBDA_OPERATIONS = sorted(name for name in PERMISSIONS if "_lambda_" in name)
"""The Lambda-compatible door has a document of its own."""


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, new_world_of: Any) -> Iterator[Any]:
    """A world and its document."""
    with new_world_of(tmp_path_factory.mktemp("home"), 128, with_worker=False) as world:
        document = world.http.get(f"{world.url}/gw/v1/openapi.json").json()
        yield world, schemathesis.openapi.from_dict(document)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_any_request_is_answered_as_described(fuzzed: Any, operation_id: str, mode: Any):
    world, schema = fuzzed
    operation = schema.find_operation_by_id(operation_id)
    if mode is GenerationMode.NEGATIVE and not operation.body and not list(operation.query):
        pytest.skip("it takes nothing that could be wrong")
    ask_in(world, operation, mode, QUICK_COUNT)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_many_requests_are_answered_as_described(fuzzed: Any, mode: Any):
    world, schema = fuzzed
    for operation_id in OPERATIONS:
        operation = schema.find_operation_by_id(operation_id)
        if mode is GenerationMode.POSITIVE or operation.body or list(operation.query):
            ask_in(world, operation, mode, LONG_COUNT)


@pytest.fixture(scope="module")
def lambda_fuzzed(fuzzed: Any) -> Any:
    """The world and the document of the Lambda-compatible door."""
    world, _ = fuzzed
    document = world.http.get(f"{world.url}/api/v1/openapi.json").json()
    return world, schemathesis.openapi.from_dict(document)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("operation_id", LAMBDA_OPERATIONS)
def test_any_request_at_the_lambda_door_is_answered_as_described(
    lambda_fuzzed: Any, operation_id: str, mode: Any
):
    world, schema = lambda_fuzzed
    operation = schema.find_operation_by_id(operation_id)
    if mode is GenerationMode.NEGATIVE and not operation.body and not list(operation.query):
        pytest.skip("it takes nothing that could be wrong")
    ask_in(world, operation, mode, QUICK_COUNT, "/api/v1")


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_many_requests_at_the_lambda_door_are_answered_as_described(lambda_fuzzed: Any, mode: Any):
    world, schema = lambda_fuzzed
    for operation_id in LAMBDA_OPERATIONS:
        operation = schema.find_operation_by_id(operation_id)
        if mode is GenerationMode.POSITIVE or operation.body or list(operation.query):
            ask_in(world, operation, mode, LONG_COUNT, "/api/v1")


def ask_in(world: Any, operation: Any, mode: Any, count: int, base: str = "") -> None:
    """Send ``count`` requests of one mode for one operation, and judge the answers."""
    headers = {"Authorization": f"Bearer {world.keys['operator']}"}

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        response = case.call(base_url=world.url + base, headers=headers)
        is_silent = operation.path.startswith("/gw/v1/login/") and response.status_code == 503
        # GPUs are out, or the login provider is, which are answers.
        if response.status_code != 507 and not is_silent:
            case.validate_response(response, checks=CHECKS)

    ask()


def test_an_answer_that_is_not_described_is_caught(fuzzed: Any):
    """The checks above can complain: without the row for problems, a refusal is a finding."""
    world, _ = fuzzed
    document = world.http.get(f"{world.url}/gw/v1/openapi.json").json()
    del document["paths"]["/gw/v1/clusters/{cluster_id}"]["get"]["responses"]["default"]
    operation = schemathesis.openapi.from_dict(document).find_operation_by_id("get_cluster")
    case = operation.Case(path_parameters={"cluster_id": "clu_x"})
    response = case.call(
        base_url=world.url, headers={"Authorization": f"Bearer {world.keys['operator']}"}
    )
    with pytest.raises(FailureGroup):
        case.validate_response(response, checks=CHECKS)
