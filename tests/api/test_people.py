"""People, keys and what belongs to them: rotation, removal, invitations, ends of projects.

Goal: a new secret works and the old one as long as was wished; whoever is removed is gone at every
server within a second; an organisation keeps an owner and the site an operator, whatever happens at
the same time; nothing that is in use is deleted. Method: real servers on loopback, two of them on
one database where it matters.
"""

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gigawatt.app.home import Home
from gigawatt.app.service import open_service
from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.identity.accounts import Account, AccountId, AccountRole, OrganisationId
from gigawatt.ids import ClusterId, TenantId

PROPAGATION_S_MAX = 1.0


def wish(world: Any, name: str, project: str | None = None) -> dict[str, Any]:
    return {"project_id": project or world.ids["acme"]["project"], "name": name, "gpu_count": 8}


def new_key(world: Any, role: str = "member", **more: Any) -> Any:
    path = f"/accounts/{world.ids['acme'][f'account.{role}']}/api-keys"
    return world.ok("acme.owner", "POST", path, {"name": "k", **more})


def age_keys(world: Any, by_s: float) -> None:
    with world.service.control.around.store.database.write() as connection:
        connection.execute(
            text("UPDATE api_key SET previous_until_s = previous_until_s - :by_s"), {"by_s": by_s}
        )


def works(world: Any, key: str) -> bool:
    status = world.call(key, "GET", "/me").status_code
    assert status in {200, 401}
    return bool(status == 200)


def test_a_rotated_key_has_a_new_secret_and_its_old_one_for_a_while(quiet_world: Any):
    world, first = quiet_world, new_key(quiet_world)
    rotate = f"/api-keys/{first['id']}:rotate"
    second = world.ok("acme.member", "POST", rotate, {"grace_s": 600})
    assert second["id"] == first["id"]
    assert works(world, first["key"])
    assert works(world, second["key"])
    third = world.ok("acme.owner", "POST", rotate, {"grace_s": 60})
    assert [works(world, each["key"]) for each in (first, second, third)] == [False, True, True]
    age_keys(world, 61)
    assert [works(world, each["key"]) for each in (second, third)] == [False, True]
    fourth = world.ok("acme.owner", "POST", rotate, {})
    assert [works(world, each["key"]) for each in (third, fourth)] == [False, True]
    assert world.call("acme.owner", "POST", rotate, {"grace_s": 86_401}).status_code == 400
    fifth = world.ok("acme.owner", "POST", rotate, {"grace_s": 600})
    world.ok("acme.owner", "POST", f"/api-keys/{first['id']}:revoke")
    assert [works(world, each["key"]) for each in (fourth, fifth)] == [False, False]
    assert world.call("acme.owner", "POST", rotate, {}).status_code == 409


def test_a_rotation_that_is_repeated_shows_no_secret_twice(quiet_world: Any):
    world, first = quiet_world, new_key(quiet_world)
    rotate, headers = f"/api-keys/{first['id']}:rotate", {"Idempotency-Key": "r"}
    second = world.ok("acme.owner", "POST", rotate, {}, headers=headers)
    again = world.ok("acme.owner", "POST", rotate, {}, headers=headers)
    assert again == {**second, "key": None}
    assert works(world, second["key"])


def test_nobody_climbs_by_rotating(quiet_world: Any):
    world, ids = quiet_world, quiet_world.ids["acme"]
    operators = f"/api-keys/{ids['key.operator']}:rotate"
    assert world.call("acme.owner", "POST", operators, {}).status_code == 403
    narrow = new_key(world, "owner", project_id=ids["project"])
    for key in (ids["key.owner"], narrow["id"]):
        assert world.call(narrow["key"], "POST", f"/api-keys/{key}:rotate", {}).status_code == 403


def test_what_ends_at_one_server_ends_at_every_server_within_a_second(
    tmp_path: Path, new_world_of: Any, serving_of: Any
):
    """Two servers on one database; the second has served each credential just before."""
    with ExitStack() as stack:
        world = stack.enter_context(new_world_of(tmp_path / "home", with_worker=False))
        second = stack.enter_context(open_service(Home(tmp_path / "home")))
        other = stack.enter_context(serving_of(second, with_worker=False))
        ids = world.ids["acme"]

        def goes(end: Any, headers: dict[str, str]) -> None:
            with httpx.Client(base_url=other, headers=headers, timeout=30.0) as http:
                assert http.get("/gw/v1/me").status_code == 200
                end()
                began_s = time.monotonic()
                while http.get("/gw/v1/me").status_code != 401:
                    assert time.monotonic() - began_s < PROPAGATION_S_MAX

        revoked, rotated = new_key(world), new_key(world, "read_only")
        removed = new_key(world, "billing")
        cookie, _ = world.cookie_for(ids["account.member"])
        also, _ = world.cookie_for(ids["account.billing"])
        session = f"/sessions/ses_{cookie.partition('_')[0]}"
        for end, headers in (
            (lambda: world.ok("acme.owner", "POST", f"/api-keys/{revoked['id']}:revoke"),
             {"Authorization": f"Bearer {revoked['key']}"}),
            (lambda: world.ok("acme.owner", "POST", f"/api-keys/{rotated['id']}:rotate", {}),
             {"Authorization": f"Bearer {rotated['key']}"}),
            (lambda: world.ok("acme.owner", "DELETE", session),
             {"Cookie": f"gw_session={cookie}"}),
            (lambda: world.ok("acme.owner", "DELETE", f"/accounts/{ids['account.billing']}"),
             {"Authorization": f"Bearer {removed['key']}"}),
        ):  # fmt: skip
            goes(end, headers)
        assert world.http.get(
            other + "/gw/v1/me", headers={"Cookie": f"gw_session={also}"}
        ).is_error


def test_an_organisation_keeps_an_owner(quiet_world: Any):
    world, ids = quiet_world, quiet_world.ids["acme"]
    mine = f"/accounts/{ids['account.owner']}"
    for method, body in (("DELETE", None), ("PATCH", {"role": "member"})):
        refused = world.call("acme.owner", method, mine, body)
        assert refused.status_code == 409
        assert "last owner" in refused.json()["detail"]
    assert world.call("acme.owner", "PATCH", mine, {"role": "owner"}).status_code == 200
    world.ok("acme.owner", "PATCH", f"/accounts/{ids['account.member']}", {"role": "owner"})
    assert world.ok("acme.owner", "PATCH", mine, {"role": "billing"})["role"] == "billing"
    # An operator, who can name another owner, may take the last one away.
    world.ok("operator", "DELETE", f"/accounts/{ids['account.member']}")


def test_the_site_keeps_an_operator(quiet_world: Any):
    world = quiet_world
    for name in ("acme", "other"):
        world.ok("operator", "DELETE", f"/accounts/{world.ids[name]['account.operator']}")
    me = world.ok("operator", "GET", "/me")
    for method, body in (("DELETE", None), ("PATCH", {"role": "member"})):
        refused = world.call("operator", method, f"/accounts/{me['account_id']}", body)
        assert refused.status_code == 409
        assert "last operator" in refused.json()["detail"]
    own = f"/organisations/{me['organisation_id']}"
    assert world.call("operator", "DELETE", own).status_code == 409


@pytest.fixture
def two_owners(quiet_world: Any) -> tuple[Any, list[Account]]:
    """An organisation with two owners and nobody else."""
    members, ids = quiet_world.service.members, quiet_world.ids["acme"]
    directory = quiet_world.service.directory
    operator = directory.account(AccountId(ids["account.operator"]))
    promoted = AccountId(ids["account.member"])
    members.change_role(promoted, AccountRole.OWNER, operator)
    return members, [
        directory.account(AccountId(ids["account.owner"])),
        directory.account(promoted),
    ]


def test_two_owners_cannot_remove_each_other_at_once(two_owners: Any):
    members, owners = two_owners
    gate, refused = threading.Barrier(2), []

    def remove(victim: Account, by: Account) -> None:
        gate.wait(10.0)
        try:
            members.remove_account(victim.account_id, by, 1.0)
        except ConflictError as error:
            refused.append(str(error))

    threads = [
        threading.Thread(target=remove, args=(victim, by))
        for victim, by in (owners, list(reversed(owners)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert "last owner" in refused[0]


def test_a_project_that_holds_something_is_not_deleted_and_says_what(world: Any):
    project = world.ids["acme"]["project"]
    path = f"/projects/{project}"
    made = world.ok("acme.member", "POST", "/clusters", wish(world, "a"))
    world.ended(made["operation_id"])
    refused = world.call("acme.owner", "DELETE", path)
    assert refused.status_code == 409
    assert "holds 1 cluster" in refused.json()["detail"]
    released = world.ok("acme.member", "POST", f"/clusters/{made['id']}:release")
    world.ended(released["operation_id"])
    world.ok("acme.owner", "POST", path + "/ssh-keys", {"name": "k", "public_key": "ssh-rsa AA"})
    narrow, wide = new_key(world, project_id=project), new_key(world)
    assert world.call("acme.owner", "DELETE", path).status_code == 204
    assert world.call("acme.owner", "GET", path).status_code == 404
    assert not works(world, narrow["key"])
    assert works(world, wide["key"])
    assert world.call("acme.member", "POST", "/clusters", wish(world, "b")).status_code == 404
    organisation = world.ids["acme"]["organisation"]
    again = world.ok("acme.owner", "POST", f"/organisations/{organisation}/projects", {"name": "p"})
    assert again["id"] != project


def test_a_plan_is_not_committed_for_a_project_that_was_deleted_meanwhile(quiet_world: Any):
    """The project goes between the look at it and the commit, which then is of an old state."""
    world = quiet_world
    control, project = world.service.control, world.ids["acme"]["project"]
    plan = world.ok("acme.member", "POST", "/plans", wish(world, "a"))
    found = world.service.directory.plan(plan["id"])
    judged: list[int] = []

    def admit(view: Any, plan: Any) -> None:
        judged.append(view.generation)
        if len(judged) == 1:
            world.service.tenancy.remove_project(TenantId(project), 1.0)
        world.service.directory.project(plan.tenant_id)

    with pytest.raises(UnknownIdError):
        control.commit_shown(found, admit=admit)
    with pytest.raises(UnknownIdError):
        control.around.store.cluster(ClusterId(found.cluster_id))
    # The API's own policy refuses it too, also to an operator.
    assert world.call("operator", "POST", f"/plans/{plan['id']}:apply").status_code == 404


def test_an_account_for_one_project_keeps_the_project(quiet_world: Any):
    world, ids = quiet_world, quiet_world.ids["acme"]
    made = Account(
        AccountId("acc_narrow"),
        OrganisationId(ids["organisation"]),
        "narrow",
        "user",
        AccountRole.MEMBER,
        0.0,
        TenantId(ids["project"]),
    )
    world.service.directory.add_account(made)
    refused = world.call("acme.owner", "DELETE", f"/projects/{ids['project']}")
    assert "holds 1 account" in refused.json()["detail"]
    role = {"role": "owner"}
    assert world.call("acme.owner", "PATCH", "/accounts/acc_narrow", role).status_code == 400


def test_an_organisation_with_projects_is_not_deleted(quiet_world: Any):
    world = quiet_world
    made = world.ok("operator", "POST", "/organisations", {"name": "brief"})
    path = f"/organisations/{made['id']}"
    project = world.ok("operator", "POST", path + "/projects", {"name": "only"})
    account = world.ok("operator", "POST", path + "/accounts", {"name": "a", "role": "owner"})
    key = world.ok("operator", "POST", f"/accounts/{account['id']}/api-keys", {"name": "k"})["key"]
    world.ok("operator", "POST", path + "/invitations", {"email": "x@brief.example"})
    refused = world.call("operator", "DELETE", path)
    assert refused.status_code == 409
    assert "'only'" in refused.json()["detail"]
    assert world.call(key, "DELETE", path).status_code == 403
    world.ok("operator", "DELETE", f"/projects/{project['id']}")
    assert world.call("operator", "DELETE", path).status_code == 204
    assert world.call("operator", "GET", path + "/accounts").status_code == 404
    assert not works(world, key)


def test_names_change_and_stay_distinct(quiet_world: Any):
    world, ids = quiet_world, quiet_world.ids["acme"]
    org, project = f"/organisations/{ids['organisation']}", f"/projects/{ids['project']}"
    assert world.ok("acme.owner", "PATCH", org, {"name": "Acme AG"})["name"] == "Acme AG"
    assert world.call("acme.owner", "PATCH", org, {"name": "other"}).status_code == 409
    world.ok("acme.owner", "POST", org + "/projects", {"name": "q"})
    assert world.call("acme.owner", "PATCH", project, {"name": "q"}).status_code == 409
    assert world.ok("acme.owner", "PATCH", project, {"name": "r"})["name"] == "r"
    assert world.call("acme.owner", "PATCH", project, {"name": " "}).status_code == 400
    assert world.ok("acme.owner", "PATCH", project, {"name": "r"})["name"] == "r"


def test_one_invitation_for_a_person_at_a_time(quiet_world: Any):
    world = quiet_world
    path = f"/organisations/{world.ids['acme']['organisation']}/invitations"
    body = {"email": "ada@acme.example"}
    first = world.ok("acme.owner", "POST", path, body)
    assert world.call("acme.owner", "POST", path, {"email": "ADA@acme.example"}).status_code == 409
    assert world.call("acme.owner", "DELETE", f"/invitations/{first['id']}").status_code == 204
    headers = {"Idempotency-Key": "i"}
    second = world.ok("acme.owner", "POST", path, {**body, "lifetime_s": 60}, headers=headers)
    again = world.ok("acme.owner", "POST", path, {**body, "lifetime_s": 60}, headers=headers)
    assert again == {**second, "link": None}
    with world.service.control.around.store.database.write() as connection:
        connection.exec_driver_sql("UPDATE invitation SET expires_s = expires_s - 61")
    assert world.ok("acme.owner", "GET", path)["items"][0]["state"] == "expired"
    world.ok("acme.owner", "POST", path, body)
    for wrong in (
        {"email": "ada"},
        {"email": "adа@acme.example"},  # noqa: RUF001 - the second a is Cyrillic
        {"email": "ada@acme.example", "role": "king"},
        {"email": "bob@acme.example", "lifetime_s": 1},
    ):
        assert world.call("acme.owner", "POST", path, wrong).status_code == 400
    climb = {"email": "bob@acme.example", "role": "operator"}
    assert world.call("acme.owner", "POST", path, climb).status_code == 403
    foreign = {"email": "bob@acme.example", "project_id": world.ids["other"]["project"]}
    assert world.call("acme.owner", "POST", path, foreign).status_code == 404


def test_logout_by_key_is_refused_and_a_stream_ends_with_its_session(quiet_world: Any):
    world, ids = quiet_world, quiet_world.ids["acme"]
    assert world.call("acme.member", "POST", "/logout").status_code == 409
    cookie, _ = world.cookie_for(ids["account.member"])
    headers = {"Cookie": f"gw_session={cookie}"}
    url = world.url + "/gw/v1/events:stream"
    with httpx.stream("GET", url, headers=headers, timeout=30.0) as stream:
        assert stream.status_code == 200
        world.ok("acme.owner", "DELETE", f"/sessions/ses_{cookie.partition('_')[0]}")
        assert "".join(stream.iter_text()).strip(": alive\n") == ""


def test_an_account_has_a_bounded_count_of_sessions(quiet_world: Any):
    world, ids = quiet_world, quiet_world.ids["acme"]
    cookies = [world.cookie_for(ids["account.member"])[0] for _ in range(22)]
    shown = world.by_cookie(ids["account.member"], "GET", "/sessions?limit=100").json()["items"]
    assert len(shown) == 20
    newest = {"Cookie": f"gw_session={cookies[-1]}"}
    assert world.http.get(world.url + "/gw/v1/me", headers=newest).status_code == 200
