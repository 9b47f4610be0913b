"""What the driver says to a BMC, word for word and in order.

Goal: a change of what is sent to hardware is seen as a change of a file, and the driver does the
same with answers alone, without a BMC.
Method: the exchange with the simulated BMC is recorded and compared with
``exchange/account.json`` (``GIGAWATT_RECORD=1`` writes it anew); then the file answers in the
simulator's place, and takes no request but the next one. Passwords and tokens are masked.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import BmcAccount
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.redfish import connection
from gigawatt.drivers.redfish.connection import PinnedAdapter
from gigawatt.drivers.redfish.opening import open_redfish
from gigawatt.drivers.redfish.settings import BmcReach, RedfishSettings
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import Fence
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import LabSpec
from memory_secrets import MemorySecrets
from simulated_bmcs import GOLDEN, SimulatedBmcs

GOLDEN_PATH = Path(__file__).parent / "exchange" / "account.json"
FLEET = lab_fleet(LabSpec(node_count=2))
NODE = NodeId(FLEET.nodes.ids[0])
BMC = DeviceId(f"bmc/{NODE}")
A = ClusterId("clu_a")
ACCOUNT = BmcAccount(NODE, "gw0123456789abcd", "bmc/clu_a/n0")
MASK = "***"
HEADERS = ("Location", "X-Auth-Token")


def asked(request: requests.PreparedRequest) -> dict[str, Any]:
    """The request, without its secrets."""
    body = json.loads(request.body) if request.body else None
    if body and "Password" in body:
        body["Password"] = MASK
    is_known = request.headers.get("X-Auth-Token") is not None
    words = {"method": request.method, "path": request.path_url, "logged_in": is_known}
    return words if body is None else {**words, "body": body}


class Recorder(PinnedAdapter):
    exchange: list[dict[str, Any]]

    def send(self, request, *words, **named):
        response = super().send(request, *words, **named)
        headers = {k: MASK if k == "X-Auth-Token" else v for k, v in response.headers.items()}
        answer: dict[str, Any] = {"status": response.status_code}
        answer["headers"] = {k: v for k, v in headers.items() if k in HEADERS}
        if response.content:
            answer["body"] = response.json()
        self.exchange.append({"asked": asked(request), "answered": answer})
        return response


class Player(PinnedAdapter):
    """Answers from the file, in its order only."""

    left: Iterator[dict[str, Any]]

    def send(self, request, *words, **named):
        del words, named
        turn = next(self.left)
        assert asked(request) == turn["asked"]
        response = requests.Response()
        response.status_code = turn["answered"]["status"]
        response.headers.update(turn["answered"]["headers"])
        response._content = json.dumps(turn["answered"].get("body")).encode()
        response.request, response.url = request, request.url
        return response


def talk(reach: BmcReach, folder: Path) -> None:
    """What a cluster's account goes through."""
    settings = RedfishSettings(reach=reach, switches={}, golden_accounts=GOLDEN)
    receipts: Any = None
    opening = Opening(FLEET, SystemClock(), MemorySecrets(), receipts, folder)
    driver = open_redfish(settings, opening)

    async def run():
        await driver.ensure(BMC, [ACCOUNT], Fence(A, 1))
        assert (await driver.observe([BMC])).entries == {BMC: frozenset({ACCOUNT})}
        await driver.rotate(ACCOUNT)
        await driver.remove(BMC, [ACCOUNT], Fence(A, 1))
        assert (await driver.observe([BMC])).entries == {BMC: frozenset()}

    asyncio.run(run())


@pytest.fixture
def bmcs() -> Iterator[SimulatedBmcs]:
    bmcs = SimulatedBmcs([NODE])
    yield bmcs
    bmcs.close()


def test_what_is_said_to_a_bmc_is_what_the_file_says(bmcs, tmp_path, monkeypatch):
    Recorder.exchange = []
    monkeypatch.setattr(connection, "PinnedAdapter", Recorder)
    talk(bmcs.reach, tmp_path)
    if os.environ.get("GIGAWATT_RECORD") == "1":
        lines = ",\n".join(map(json.dumps, Recorder.exchange))
        GOLDEN_PATH.write_text(f"[\n{lines}\n]\n")
    assert json.loads(GOLDEN_PATH.read_text()) == Recorder.exchange


def test_the_driver_does_the_same_with_recorded_answers_alone(bmcs, tmp_path, monkeypatch):
    Player.left = iter(json.loads(GOLDEN_PATH.read_text()))
    monkeypatch.setattr(connection, "PinnedAdapter", Player)
    before = bmcs.control.request_count(NODE)
    talk(bmcs.reach, tmp_path)
    assert bmcs.control.request_count(NODE) == before
    assert next(Player.left, None) is None


def test_nothing_secret_is_in_the_file():
    text = GOLDEN_PATH.read_text()
    assert '"Password": "***"' in text
    for word in ("Operator-1", "Factory-11", "Mx9"):
        assert word not in text
