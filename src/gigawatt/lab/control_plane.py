"""The lab's control plane: an ordinary server over a home of the lab's own.

``python -m gigawatt.lab.control_plane FOLDER DESCRIPTOR`` serves on a socket that was opened
outside the room, so that it is reached from the machine while its drivers are in the room.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from gigawatt.app.secrets_key import open_secrets
from gigawatt.app.server import APPLICATION, ServerOptions, serve
from gigawatt.app.service import Service, make_first_key
from gigawatt.boundary.plane import Plane
from gigawatt.errors import InputError
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.identity.accounts import (
    Account,
    AccountId,
    AccountRole,
    Organisation,
    OrganisationId,
    Project,
)
from gigawatt.ids import TenantId
from gigawatt.lab.fabric_part import UFM_SECRET, ufm_password_path
from gigawatt.lab.folder import LabFolder, LabKeys
from gigawatt.lab.running import SAID_MAX, Running
from gigawatt.store.store import SqlStore

TENANT = "tenant"
"""Name of the tenant that every lab has from the start."""
START_S_MAX = 60.0
RECONCILE_S = 60.0
"""Pause between two passes of the reconciler: short, as people watch. Ours."""


class ControlPlane:
    """The part that comes last: it drives what the others declared."""

    def __init__(self, descriptor: int) -> None:
        """Serve on the socket ``descriptor``."""
        self._descriptor = descriptor

    @property
    def name(self) -> str:
        """What people call it."""
        return "control"

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """No program but ours."""
        return {}

    def start(self, lab: Running) -> None:
        """Lay down fleet and site, start the server, and wait until it has made its keys.

        Raises:
            InputError: it does not start.
        """
        folder = LabFolder(lab.folder)
        _fill_with_fakes(lab)
        home = folder.home
        home.make()
        home.fleet_path.write_text(dump_fleet(lab.fleet), encoding="utf-8")
        site = {str(plane): lab.settings[plane] for plane in Plane}
        path = home.path / "site.yaml"
        path.write_text(yaml.safe_dump(site, sort_keys=False), encoding="utf-8")
        words = [sys.executable, "-m", "gigawatt.lab.control_plane"]
        server = lab.spawn(
            "control",
            [*words, str(lab.folder), str(self._descriptor)],
            descriptors=(self._descriptor,),
        )
        is_made = folder.keys_path.exists
        lab.until(lambda: is_made() or server.poll() is not None, "the control plane", START_S_MAX)
        if not is_made():
            said = lab.log_path("control").read_text(errors="replace").strip()
            raise InputError(f"the control plane does not start: {said[-SAID_MAX:]}")

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now."""
        status = lab.programs["control"].poll()
        return "" if status is None else f"the server has ended with {status}"


def _fill_with_fakes(lab: Running) -> None:
    """Declare fake what no part drives: whole planes, and nodes that are bare metal."""
    for plane in Plane:
        if plane not in lab.settings:
            lab.declare(plane, "fake", {})
    hosts = {settings["driver"] for settings in lab.settings[Plane.HOST]}
    spec = lab.layout.spec
    if hosts == {"guests"} and spec.hypervisor_count < spec.node_count:
        lab.declare(Plane.HOST, "fake", {})


def make_keys(service: Service) -> LabKeys:
    """Keys of an operator and of a tenant that may hold every GPU of the lab."""
    operator = make_first_key(service, "operator")
    directory, now_s, new_id = service.directory, service.now_s(), service.control.new_id
    organisation_id, account_id = OrganisationId(new_id("org")), AccountId(new_id("acc"))
    gpu_count = service.control.around.fleet.gpu_count
    directory.add_organisation(Organisation(organisation_id, TENANT, now_s))
    directory.add_project(
        Project(TenantId(new_id("ten")), organisation_id, TENANT, gpu_count, now_s)
    )
    directory.add_account(
        Account(account_id, organisation_id, TENANT, "user", AccountRole.OWNER, now_s)
    )
    return LabKeys(operator, service.new_key(account_id, "lab")[1])


def take_up_secrets(folder: LabFolder, service: Service) -> None:
    """Keep the passwords that parts left, sealed, and no longer in clear."""
    path = ufm_password_path(folder.path)
    around = service.control.around
    if path.exists():
        assert isinstance(around.store, SqlStore), "a home has a SQL store"
        kept = open_secrets(folder.home, around.store, around.clock)
        kept.put(UFM_SECRET, path.read_text())
        path.unlink()


def main() -> None:
    """Serve until killed."""
    folder, descriptor = LabFolder(Path(sys.argv[1])), int(sys.argv[2])
    options = ServerOptions(f"fd:{descriptor}", reconcile_s=RECONCILE_S)

    def prepare(service: Service) -> None:
        take_up_secrets(folder, service)
        folder.write_keys(make_keys(service))

    serve(folder.home, APPLICATION, options, prepare=prepare)


if __name__ == "__main__":
    main()
