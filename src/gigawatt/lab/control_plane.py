"""The lab's control plane: an ordinary server over a home of the lab's own.

``python -m gigawatt.lab.control_plane FOLDER DESCRIPTOR`` serves on a socket that was opened
outside the room, so that it is reached from the machine while its drivers are in the room.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from gigawatt.app.secrets_key import open_secrets
from gigawatt.app.server import APPLICATION, ServerOptions, serve
from gigawatt.app.service import SITE_ORGANISATION, Service, make_first_key
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

OPERATOR, TENANT = "operator", "tenant"
"""Names of the operator's account, and of the tenant that every lab has from the start."""
ORGANISATIONS_MAX = 100
"""Organisations, and accounts of one, that are looked through for ours, the oldest ones."""
START_S_MAX = 60.0
AGAIN_MAX = 5
"""How often a server that has ended is started again: one that always ends is not kept going."""
RECONCILE_S = 60.0
"""Pause between two passes of the reconciler: short, as people watch. Ours."""


class ControlPlane:
    """The part that comes last: it drives what the others declared."""

    def __init__(self, descriptor: int) -> None:
        """Serve on the socket ``descriptor``."""
        self._descriptor = descriptor
        self._again_count = 0

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
        server = self._spawn(lab)
        is_made = folder.keys_path.exists
        lab.until(lambda: is_made() or server.poll() is not None, "the control plane", START_S_MAX)
        if not is_made():
            said = lab.log_path("control").read_text(errors="replace").strip()
            raise InputError(f"the control plane does not start: {said[-SAID_MAX:]}")

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now."""
        status = lab.programs["control"].poll()
        if status is None:
            return ""
        often = f", {self._again_count + 1} times by now" if self._again_count else ""
        return f"the server has ended with {status}{often}; see {lab.log_path('control')}"

    def start_again(self, lab: Running) -> str:
        """See ``LastingPart.start_again``."""
        status = lab.programs["control"].poll()
        if self._again_count >= AGAIN_MAX:
            return ""
        self._again_count += 1
        self._spawn(lab)
        return f"started again, the {self._again_count}. time: the server had ended with {status}"

    def _spawn(self, lab: Running) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-m", "gigawatt.lab.control_plane"]
        return lab.spawn(
            "control",
            [*words, str(lab.folder), str(self._descriptor)],
            descriptors=(self._descriptor,),
        )


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
    """Keys of an operator and of a tenant that may hold every GPU of the lab.

    Whatever of them there is already is taken as it is: a start may have ended half way.
    """
    directory = service.directory
    if directory.is_empty():
        operator = make_first_key(service, OPERATOR)
    else:
        operator = service.new_key(_account(service, SITE_ORGANISATION, OPERATOR), "lab")[1]
    tenant = _organisation(service, TENANT)
    if not directory.projects(tenant, "", 1):
        project_id, now_s = TenantId(service.control.new_id("ten")), service.now_s()
        gpu_count = service.control.around.fleet.gpu_count
        directory.add_project(Project(project_id, tenant, TENANT, gpu_count, now_s))
    return LabKeys(operator, service.new_key(_account(service, TENANT, TENANT), "lab")[1])


def _organisation(service: Service, name: str) -> OrganisationId:
    """The organisation of this name, made if there is none."""
    for found in service.directory.organisations(None, "", ORGANISATIONS_MAX):
        if found.name == name:
            return found.organisation_id
    made = Organisation(OrganisationId(service.control.new_id("org")), name, service.now_s())
    service.directory.add_organisation(made)
    return made.organisation_id


def _account(service: Service, organisation: str, name: str) -> AccountId:
    """The account of this name, made if there is none: the operator's, or an owner's."""
    organisation_id = _organisation(service, organisation)
    for found in service.directory.accounts(organisation_id, "", ORGANISATIONS_MAX):
        if found.name == name:
            return found.account_id
    role = AccountRole.OPERATOR if organisation == SITE_ORGANISATION else AccountRole.OWNER
    account_id = AccountId(service.control.new_id("acc"))
    now_s = service.now_s()
    service.directory.add_account(Account(account_id, organisation_id, name, "user", role, now_s))
    return account_id


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
        if not folder.keys_path.exists():
            folder.write_keys(make_keys(service))

    serve(folder.home, APPLICATION, options, prepare=prepare)


if __name__ == "__main__":
    main()
