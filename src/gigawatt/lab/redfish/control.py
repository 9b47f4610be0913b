"""The side door of the simulator: faults, planted accounts and the truth, by a unix socket.

One JSON object a line, one answer a line. It is no part of Redfish: a tenant cannot reach it.
"""

import json
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from typing_extensions import override

from gigawatt.errors import InputError
from gigawatt.ids import NodeId
from gigawatt.lab.redfish.answer import Json, RefusedError
from gigawatt.lab.redfish.faults import Faults
from gigawatt.lab.redfish.server import Simulator
from gigawatt.lab.redfish.simulated import SimulatedBmc

ANSWER_S_MAX = 10.0
LINE_BYTES_MAX = 1 << 20


def _do(bmc: SimulatedBmc, asked: Json) -> object:
    """Do what was asked.

    Raises:
        RefusedError: the BMC cannot.
    """
    with bmc.turn:
        match asked["do"]:
            case "faults":
                bmc.failing.become(Faults.model_validate(asked["faults"]))
                if not bmc.failing.now.hides:
                    bmc.accounts.hidden.clear()
            case "plant":
                words = asked["username"], asked["password"], asked["role"]
                bmc.accounts.make(*words, is_policed=False)
            case "role":
                account = bmc.accounts.named(asked["username"])
                if account is None:
                    raise RefusedError(404, "ResourceMissingAtURI", "there is no such account")
                account.role = asked["role"]
            case "firmware":
                bmc.firmware_versions[asked["id"]] = asked["version"]
            case "restart":
                bmc.restart()
            case "accounts":
                return {a.username: a.role for a in bmc.accounts.by_number.values()}
            case "requests":
                return bmc.request_count
            case other:
                raise RefusedError(400, "ActionNotSupported", f"nobody knows how to {other!r}")
    return None


class _Handler(socketserver.StreamRequestHandler):
    """One line."""

    @override
    def handle(self) -> None:
        """Do it, and say what came of it."""
        try:
            assert isinstance(self.server, ControlDoor), "made by it"
            asked = json.loads(self.rfile.readline(LINE_BYTES_MAX))
            answer = {"is": _do(self.server.simulator.bmcs[asked["node"]], asked)}
        except (RefusedError, ValidationError, ValueError, KeyError, TypeError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class ControlDoor(socketserver.ThreadingUnixStreamServer):
    """Listens on a unix socket that only its owner may open."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, simulator: Simulator) -> None:
        """Open the door of ``simulator``."""
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Handler)
        path.chmod(0o600)
        self.simulator = simulator
        threading.Thread(target=self.serve_forever, name="control", daemon=True).start()


class Control:
    """Who opens the side door."""

    def __init__(self, path: Path) -> None:
        """Use the socket at ``path``."""
        self._path = path

    def set_faults(self, node_id: NodeId, faults: Faults) -> None:
        """Let a BMC fail like this; ``Faults()`` mends it."""
        self._ask(node_id, "faults", faults=faults.model_dump())

    def plant_account(self, node_id: NodeId, username: str, password: str, role: str) -> None:
        """Put an account there as an attacker would, past Redfish."""
        self._ask(node_id, "plant", username=username, password=password, role=role)

    def change_role(self, node_id: NodeId, username: str, role: str) -> None:
        """Give an account another role, past Redfish."""
        self._ask(node_id, "role", username=username, role=role)

    def set_firmware(self, node_id: NodeId, firmware: str, version: str) -> None:
        """Let a firmware be of another version."""
        self._ask(node_id, "firmware", id=firmware, version=version)

    def restart(self, node_id: NodeId) -> None:
        """Let a BMC restart by itself."""
        self._ask(node_id, "restart")

    def accounts(self, node_id: NodeId) -> dict[str, str]:
        """Role by name of the accounts that are really there."""
        return dict(self._ask(node_id, "accounts"))

    def request_count(self, node_id: NodeId) -> int:
        """Requests that a BMC has had."""
        return int(self._ask(node_id, "requests"))

    def _ask(self, node_id: NodeId, what: str, **words: object) -> Any:  # noqa: ANN401 - JSON
        line = json.dumps({"node": node_id, "do": what, **words}).encode() + b"\n"
        try:
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(ANSWER_S_MAX)
                door.connect(str(self._path))
                door.sendall(line)
                with door.makefile("rb") as file:
                    answer = json.loads(file.readline(LINE_BYTES_MAX))
        except (OSError, ValueError) as error:
            raise InputError(
                f"the simulated BMCs do not answer at {self._path}: {error}"
            ) from error
        if "error" in answer:
            raise InputError(f"the simulated BMC of {node_id} could not {what}: {answer['error']}")
        return answer["is"]
