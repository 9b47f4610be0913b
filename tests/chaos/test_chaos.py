"""Goal: whatever is killed, everything converges, nothing leaks, nothing is given twice.

Method: three real servers on one store with devices that fail; tenants that create, grow and
release through any of them; servers are killed with SIGKILL or stopped for longer than a lease, the
database server is killed, at seeded moments. Judges that share no code with the product read the
books, the devices, the log of every device write, and send every request once more.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from chaos import FULL, QUICK, run
from postgres_server import SETTINGS, postgres_server, private_server

__all__ = ["postgres_server"]  # a fixture that pytest finds here


def judge(report: dict, record_property) -> None:
    for name in ("blows", "operations", "operations hit", "taken over", "recovery of servers"):
        record_property(name, report[name])
    assert report["notes"] == [], report
    assert report["operations"] > 0
    assert sum(report["blows"].values()) > 0


@pytest.mark.timeout(400)
def test_a_few_kills_of_servers_on_one_file(tmp_path: Path, record_property):
    judge(run(QUICK, tmp_path / "home", 1, None), record_property)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(180)
def test_a_few_kills_of_servers_and_of_the_database(tmp_path: Path, record_property):
    with private_server(SETTINGS) as server:
        report = run(replace(QUICK, seconds=12.0), tmp_path / "home", 1, server)
    judge(report, record_property)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_five_minutes_on_one_file(tmp_path: Path, record_property):
    judge(run(FULL, tmp_path / "home", 2, None), record_property)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(1_200)
def test_five_minutes_on_postgres(tmp_path: Path, record_property):
    with private_server(SETTINGS) as server:
        judge(run(FULL, tmp_path / "home", 2, server), record_property)
