"""Goal: a control plane that ended is started again, a bounded number of times, and it is said.

Method: a supervisor watches parts of a script: one that lasts, one that does not. The keys of a
lab's control plane are made in a real home whose directory an earlier start left at every point
where it may have ended. The program itself is killed in a lab in ``test_lab.py``.
"""

import pytest

from gigawatt.app.home import Home
from gigawatt.app.service import make_first_key, open_service
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.identity.accounts import Account, AccountId, AccountRole, Organisation, OrganisationId
from gigawatt.lab.control_plane import AGAIN_MAX, ControlPlane, make_keys
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.folder import LabFolder, LabStatus, PartStatus
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.running import Running
from gigawatt.lab.supervisor import Supervisor

SPEC = LabSpec(node_count=2)
FLEET = lab_fleet(SPEC)


class Ends(ControlPlane):
    """A control plane that ends with 3 as soon as it was started."""

    def _spawn(self, lab):
        process = lab.spawn("control", ["sh", "-c", "exit 3"])
        process.wait()
        return process


class Network:
    name = "network"

    def ailment(self, lab):
        return "bgpd of leaf0 has ended"


@pytest.fixture
def watched(tmp_path):
    folder = LabFolder(tmp_path / "lab")
    folder.make()
    lab = Running(FLEET, Layout(SPEC, FLEET), folder.path)
    parts = [Network(), Ends(0)]
    supervisor = Supervisor(folder, LabStatus(SPEC, "http://x", 0.0, "up"), parts)

    def look() -> tuple[PartStatus, ...]:
        supervisor.watch(lab)
        status = folder.read_status()
        assert status is not None
        return status.parts

    parts[1]._spawn(lab)
    return look


def test_only_what_lasts_is_started_again_and_that_is_bounded_and_said(watched):
    for number in range(1, AGAIN_MAX + 1):
        network, control = watched()
        assert (network.state, network.said) == ("ailing", "bgpd of leaf0 has ended")
        assert control.state == "up"
        assert control.said.startswith(f"started again, the {number}. time")
        assert "ended with 3" in control.said
    for _ in range(3):
        _, control = watched()
        assert control.state == "ailing"
        assert f"{AGAIN_MAX + 1} times by now" in control.said


def left_by(service, step):
    """What a start that ended after so many steps left."""
    now_s, new_id = service.now_s(), service.control.new_id
    if step >= 1:
        make_first_key(service, "operator")
    organisation = Organisation(OrganisationId(new_id("org")), "tenant", now_s)
    if step >= 2:
        service.directory.add_organisation(organisation)
    if step >= 3:
        account = Account(
            AccountId(new_id("acc")),
            organisation.organisation_id,
            "tenant",
            "user",
            AccountRole.OWNER,
            now_s,
        )
        service.directory.add_account(account)


@pytest.mark.parametrize("step", range(4))
def test_keys_are_made_whatever_an_earlier_start_left(tmp_path, step):
    home = Home(tmp_path / "home", database_url=None)
    home.make()
    home.fleet_path.write_text(dump_fleet(FLEET), encoding="utf-8")
    with open_service(home) as service:
        left_by(service, step)
        for _ in range(2):
            keys = make_keys(service)
            assert keys.operator != keys.tenant
        organisations = service.directory.organisations(None, "", 10)
        assert sorted(one.name for one in organisations) == ["site", "tenant"]
        for one in organisations:
            (account,) = service.directory.accounts(one.organisation_id, "", 10)
            (project,) = service.directory.projects(one.organisation_id, "", 10)
            assert project.organisation_id == one.organisation_id
            is_site = one.name == "site"
            assert account.role is (AccountRole.OPERATOR if is_site else AccountRole.OWNER)
