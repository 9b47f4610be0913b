"""What is left at BMCs and on the way to them, by ``nft``, ``ip`` and ``curl``."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gigawatt.boundary.plane import Plane
from gigawatt.errors import InputError
from gigawatt.lab.audit_in_band import element_words
from gigawatt.lab.audit_scene import AuditScene, Leftover
from gigawatt.lab.layout import MANAGEMENT_BMC_SIDE, OOB_INTERFACE
from gigawatt.lab.oob import GOLDEN_ACCOUNTS, OPERATOR, SWITCH

BMCS_AT_ONCE = 8
"""BMCs that are asked at once: each mostly waits. Ours."""
WAYS = ("allow", "back")
"""Sets of the switch that open a way to a BMC."""


def audit_out_of_band(scene: AuditScene) -> Iterator[Leftover]:
    """Ways to BMCs, proxies' addresses, and accounts, media and boot overrides of BMCs.

    Raises:
        InputError: the switch or a BMC does not answer.
    """
    for row in scene.listed(["nft", "-j", "list", "ruleset"], namespace=SWITCH)["nftables"]:
        own = row.get("set") or {}
        if own.get("name") in WAYS:
            for element in own.get("elem", ()):
                where = f"{SWITCH} {element_words(element)}"
                yield Leftover(Plane.OUT_OF_BAND, f"element of {own['name']}", where)
    for link in scene.listed(["ip", "-json", "address", "show", "dev", OOB_INTERFACE]):
        for address in link.get("addr_info", ()):
            if address["family"] == "inet" and address["local"] != MANAGEMENT_BMC_SIDE:
                yield Leftover(Plane.OUT_OF_BAND, "address of a proxy", address["local"])
    passwords = json.loads((scene.folder.path / "oob/operator_passwords.json").read_text("utf-8"))
    nodes = enumerate(scene.layout.fleet.nodes.ids)
    readers = [BmcReader(scene, row, str(passwords[node_id])) for row, node_id in nodes]
    with ThreadPoolExecutor(BMCS_AT_ONCE) as workers:
        for found in workers.map(lambda reader: list(_of_bmc(reader)), readers):
            yield from found


def _of_bmc(reader: "BmcReader") -> Iterator[Leftover]:
    name = reader.name
    accounts, systems = (
        [str(one["@odata.id"]).removeprefix(ROOT) for one in listed["Members"]]
        for listed in reader.get("AccountService/Accounts", "Systems")
    )
    *users, system = reader.get(*accounts, systems[0])
    for account in users:
        user = str(account.get("UserName", ""))
        if user and user not in GOLDEN_ACCOUNTS:
            yield Leftover(Plane.OUT_OF_BAND, f"account {user}", name)
        elif user and account.get("RoleId") != GOLDEN_ACCOUNTS[user]:
            yield Leftover(Plane.OUT_OF_BAND, f"{user} is {account.get('RoleId')}", name)
    if (system.get("Boot") or {}).get("BootSourceOverrideEnabled") not in {None, "Disabled"}:
        yield Leftover(Plane.OUT_OF_BAND, "boot override", name)


ROOT = "/redfish/v1/"


class BmcReader:
    """``curl`` at one BMC, as the operator; the password is not in its words."""

    def __init__(self, scene: AuditScene, row: int, password: str) -> None:
        """Read the BMC of the node in ``row``."""
        self._scene = scene
        self.name = scene.layout.bmc_namespace(row)
        self._address = scene.layout.bmc_address(row)
        certificate = scene.folder.path / "oob" / f"{self.name}.pem"
        self._config = f'user = "{OPERATOR}:{password}"\ncacert = "{certificate}"\n'

    def get(self, *resources: str) -> list[dict[str, Any]]:
        """The documents of these resources, in one connection.

        Raises:
            InputError: the BMC does not answer, or refuses.
        """
        words = ["curl", "--silent", "--show-error", "--fail", "--max-time", "30", "--noproxy", "*"]
        words += ["--config", "-", "--write-out", "\\n"]
        words += [f"https://{self._address}{ROOT}{resource}" for resource in resources]
        said = self._scene.said(words, stdin=self._config)
        try:
            return [json.loads(line) for line in said.splitlines() if line.strip()]
        except ValueError as error:
            raise InputError(f"the BMC at {self._address} does not answer in JSON") from error
