"""A database of its own for each test of this folder, and a server that a test may kill."""

from collections.abc import Iterator

import pytest

from postgres_server import Server, postgres_server, private_server

__all__ = ["postgres_server"]  # a fixture that pytest finds here


@pytest.fixture
def url(postgres_server: Server) -> Iterator[str]:
    """URL of an empty database."""
    with postgres_server.database() as made:
        yield made


@pytest.fixture(scope="module")
def frail_server() -> Iterator[Server]:
    """A server that nobody else uses, so that tests may stop and kill it."""
    with private_server() as server:
        yield server


@pytest.fixture
def frail_url(frail_server: Server) -> Iterator[str]:
    """URL of an empty database on the server that may be killed."""
    with frail_server.database() as made:
        yield made
