"""Goal: the service does on PostgreSQL what it does on a file, also when much comes at once.

Method: a sample of the API in the quick run; all other tests of this folder that need a world run
on PostgreSQL in the long one. Requests under one key, wishes to cancel and first openings race in
threads.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gigawatt.store.open import open_store_at
from postgres_server import Server

pytestmark = pytest.mark.postgres


@pytest.fixture
def both(tmp_path: Path, new_world_of: Any, postgres_server: Server) -> Iterator[Any]:
    with (
        postgres_server.database() as url,
        new_world_of(tmp_path / "home", url=url, with_worker=False) as made,
    ):
        yield made


def at_once(what: Callable[[], httpx.Response], count: int = 12) -> list[int]:
    """Statuses of the same request sent by many at once."""
    answers: list[int] = []
    barrier = threading.Barrier(count)

    def send() -> None:
        barrier.wait()
        answers.append(what().status_code)

    threads = [threading.Thread(target=send) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def post(world: Any, path: str, body: Any, **headers: str) -> httpx.Response:
    sent = {"Authorization": f"Bearer {world.keys['acme.member']}", **headers}
    return httpx.post(f"{world.url}/gw/v1{path}", json=body, headers=sent, timeout=60.0)


def test_what_races_on_one_row_is_a_conflict_or_an_answer_and_never_an_error(both: Any):
    world = both
    wish = {"project_id": world.ids["acme"]["project"], "name": "a", "gpu_count": 8}
    for number in range(3):
        key = f"k{number}"
        named = {**wish, "name": f"a{number}"}
        statuses = at_once(
            lambda key=key, named=named: post(world, "/clusters", named, **{"Idempotency-Key": key})
        )
        assert set(statuses) <= {202, 409}, statuses
        assert 202 in statuses
    (newest, *rest) = world.ok("acme.member", "GET", "/operations")["items"]
    assert len(rest) == 2, "each was done once"
    statuses = at_once(lambda: post(world, f"/operations/{newest['id']}:cancel", None))
    assert set(statuses) == {202}
    same = at_once(lambda: post(world, "/clusters", {**wish, "name": "same"}), 6)
    assert same.count(202) == 1
    assert set(same) <= {202, 400, 409}, same
    world.service.worker.start()
    for one in (newest, *rest):
        assert world.ended(one["id"])["state"] in {"done", "unwound"}
    made = world.ok("acme.member", "GET", "/clusters")["items"]
    assert {item["name"] for item in made} >= {"a0", "a1"}
    gone = world.ok("acme.member", "POST", f"/clusters/{made[-1]['id']}:release")
    assert world.ended(gone["operation_id"])["state"] == "done"


def test_many_that_open_an_empty_database_at_once_all_can(postgres_server: Server):
    errors: list[Exception] = []

    def opening(url: str) -> None:
        try:
            with closing(open_store_at(url)) as store:
                assert store.snapshot(0.0).generation == 0
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)

    with postgres_server.database() as url:
        threads = [threading.Thread(target=opening, args=[url]) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
