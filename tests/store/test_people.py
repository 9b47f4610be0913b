"""People in the store.

Goal: what ``Sessions``, ``Members`` and ``Tenancy`` promise holds on both engines, and for two
servers that do things at the same moment. Method: one database with two views of it, and threads
that begin together.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.identity.accounts import (
    Account,
    AccountId,
    AccountRole,
    ApiKeyId,
    Organisation,
    OrganisationId,
    Project,
)
from gigawatt.identity.invitations import Invitation, InvitationId, LoginIdentity
from gigawatt.identity.keys import ApiKey, digest_of
from gigawatt.identity.sessions import SESSION_COUNT_MAX, Session, SessionId
from gigawatt.ids import TenantId
from gigawatt.interfaces.members import NewSecret
from gigawatt.store.directory import open_directory
from gigawatt.store.members import open_members
from gigawatt.store.open import open_store_at
from gigawatt.store.sessions import open_sessions
from gigawatt.store.tenancy import ENDS_WITH_PROJECT, STAYS_AFTER_PROJECT, open_tenancy

ORG, PROJECT = OrganisationId("org_a"), TenantId("ten_a")
NOW_S = 1_000.0


@dataclass
class View:
    """What one server sees of the database."""

    directory: Any
    members: Any
    sessions: Any
    tenancy: Any


@pytest.fixture
def views(place: Any) -> Iterator[tuple[View, View]]:
    """Two servers on one database, with an organisation of two owners."""
    with closing(open_store_at(place)) as one, closing(open_store_at(place)) as two:
        first, second = (
            View(open_directory(s), open_members(s), open_sessions(s), open_tenancy(s))
            for s in (one, two)
        )
        first.directory.add_organisation(Organisation(ORG, "acme", 0.0))
        first.directory.add_project(Project(PROJECT, ORG, "p", 8, 0.0))
        for name in ("ada", "bob"):
            first.directory.add_account(person(name, AccountRole.OWNER))
        yield first, second


def person(name: str, role: AccountRole = AccountRole.MEMBER) -> Account:
    return Account(AccountId(f"acc_{name}"), ORG, name, "user", role, NOW_S)


def session(number: int, account: str = "acc_ada", used_s: float = NOW_S) -> Session:
    session_id = SessionId(f"ses_{number:016x}")
    return Session(session_id, AccountId(account), None, "d", used_s, used_s, used_s + 100.0)


def invitation(name: str = "cleo") -> Invitation:
    return Invitation(
        InvitationId(f"inv_{name}"), ORG, f"{name}@acme.example", AccountRole.MEMBER, None,
        digest_of("s"), AccountId("acc_ada"), NOW_S, NOW_S + 100.0,
    )  # fmt: skip


def at_once(*calls: Callable[[], object]) -> list[Exception]:
    """Call all at the same moment; what was refused."""
    gate, refused = threading.Barrier(len(calls)), []

    def call(one: Callable[[], object]) -> None:
        gate.wait(10.0)
        try:
            one()
        except ConflictError as error:
            refused.append(error)

    threads = [threading.Thread(target=call, args=(one,)) for one in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def test_two_owners_do_not_remove_each_other_at_the_same_moment(views: tuple[View, View]):
    first, second = views
    ada, bob = (first.directory.account(AccountId(f"acc_{n}")) for n in ("ada", "bob"))
    refused = at_once(
        lambda: first.members.remove_account(bob.account_id, ada, NOW_S),
        lambda: second.members.change_role(ada.account_id, AccountRole.MEMBER, bob),
    )
    assert len(refused) == 1
    left = first.directory.accounts(ORG, "", 10)
    assert [each.role for each in left].count(AccountRole.OWNER) == 1


def test_an_invitation_is_taken_up_by_one(views: tuple[View, View]):
    first, second = views
    first.members.add_invitation(invitation())
    with pytest.raises(ConflictError):
        second.members.add_invitation(replace(invitation(), invitation_id=InvitationId("inv_x")))

    def take_up(view: View, name: str) -> object:
        login = LoginIdentity("i", name, AccountId(f"acc_{name}"), "", NOW_S)
        return view.members.add_login(login, person(name), InvitationId("inv_cleo"))

    refused = at_once(lambda: take_up(first, "cleo"), lambda: take_up(second, "dan"))
    assert len(refused) == 1
    taken = second.members.invitation(InvitationId("inv_cleo"))
    assert taken.accepted_s == NOW_S
    assert first.members.open_invitations("cleo@acme.example", NOW_S) == ()
    assert {first.members.find_login("i", n) is None for n in ("cleo", "dan")} == {True, False}


def test_a_person_gets_one_account_however_often_they_come_back_at_once(views: tuple[View, View]):
    def come(view: View, number: int) -> object:
        made = replace(person("cleo"), account_id=AccountId(f"acc_{number}"))
        return view.members.add_login(
            LoginIdentity("i", "cleo", made.account_id, "", NOW_S), made, None
        )

    refused = at_once(*(lambda v=v, n=n: come(v, n) for n, v in enumerate(views)))
    assert len(refused) == 1
    assert [a.name for a in views[0].directory.accounts(ORG, "", 10)].count("cleo") == 1


def test_a_name_that_is_taken_gets_an_ending(views: tuple[View, View]):
    login = LoginIdentity("i", "other-ada", AccountId("acc_12345678"), "", NOW_S)
    second_ada = replace(person("ada"), account_id=AccountId("acc_12345678"))
    assert views[0].members.add_login(login, second_ada, None).name == "ada (12345678)"


def test_who_is_removed_is_gone_for_both_servers(views: tuple[View, View]):
    first, second = views
    ada, bob = (first.directory.account(AccountId(f"acc_{n}")) for n in ("ada", "bob"))
    first.directory.add_account(person("cleo"))
    cleo = AccountId("acc_cleo")
    key_id = ApiKeyId("key_c")
    first.directory.add_key(ApiKey(key_id, cleo, None, "k", "d", NOW_S, None, None, None))
    first.sessions.add_session(session(1, "acc_cleo"), None)
    assert second.directory.find_caller(key_id) is not None
    assert second.sessions.find_session(session(1).session_id) is not None
    first.members.remove_account(cleo, bob, NOW_S)
    assert second.directory.find_caller(key_id) is None
    assert second.sessions.find_session(session(1).session_id) is None
    with pytest.raises(UnknownIdError):
        second.sessions.add_session(session(2, "acc_cleo"), None)
    with pytest.raises(UnknownIdError):
        second.members.remove_account(cleo, ada, NOW_S)


def test_sessions_are_few_young_and_replaced(views: tuple[View, View]):
    sessions = views[0].sessions
    for number in range(SESSION_COUNT_MAX + 3):
        sessions.add_session(session(number, used_s=NOW_S + number), None)
    found = sessions.sessions(ORG, AccountId("acc_ada"), "", 100)
    assert len(found) == SESSION_COUNT_MAX
    assert min(each.created_s for each in found) == NOW_S + 3
    sessions.add_session(session(98, "acc_bob", NOW_S + 50), session(10).session_id)
    assert sessions.find_session(session(10).session_id) is None
    sessions.touch_session(session(98).session_id, NOW_S + 60)
    sessions.add_session(session(99, "acc_bob", NOW_S + 1_000), None)
    assert [each.session_id for each in sessions.sessions(ORG, None, "", 100)] == [
        session(99).session_id
    ]


def test_a_rotation_counts_whoever_was_second(views: tuple[View, View]):
    first, second = views
    key_id = ApiKeyId("key_a")
    account = AccountId("acc_ada")
    first.directory.add_key(ApiKey(key_id, account, None, "k", "d0", NOW_S, 2e3, None, None))
    assert (
        at_once(
            lambda: first.members.rotate_key(key_id, NewSecret("d1", 60.0), NOW_S),
            lambda: second.members.rotate_key(key_id, NewSecret("d2", 60.0), NOW_S),
        )
        == []
    )
    found = first.directory.key(key_id)
    assert {found.digest, found.previous_digest} == {"d1", "d2"}
    assert found.previous_until_s == NOW_S + 60.0
    with pytest.raises(ConflictError):
        first.members.rotate_key(key_id, NewSecret("d3", 0.0), 2e3)


def test_what_a_project_holds_keeps_it(views: tuple[View, View], place: Any, build: Any):
    first, _ = views
    with closing(open_store_at(place)) as store:
        target = build.target(tenant=PROJECT)
        build.launched(store, target)
        with pytest.raises(ConflictError, match="holds 1 cluster"):
            first.tenancy.remove_project(PROJECT, NOW_S)
        assert first.directory.project(PROJECT).name == "p"
    kept = ENDS_WITH_PROJECT | STAYS_AFTER_PROJECT
    assert not kept & {"cluster", "account", "waiting_request", "firewall_ruleset"}


def test_an_end_of_a_project_raises_the_generation(views: tuple[View, View], place: Any):
    """So a plan that was made before it, is judged again and not committed as it is."""
    with closing(open_store_at(place)) as store:
        before = store.snapshot(NOW_S).generation
        views[1].tenancy.remove_project(PROJECT, NOW_S)
        assert store.snapshot(NOW_S).generation > before
    with pytest.raises(UnknownIdError):
        views[0].directory.project(PROJECT)
    views[0].directory.add_project(Project(TenantId("ten_b"), ORG, "p", 8, 0.0))
    with pytest.raises(ConflictError, match="'p'"):
        views[1].tenancy.remove_organisation(ORG, NOW_S)
    views[0].tenancy.remove_project(TenantId("ten_b"), NOW_S)
    operator = replace(person("olu", AccountRole.OPERATOR), organisation_id=OrganisationId("org_s"))
    with pytest.raises(ConflictError, match="last operator"):
        views[1].tenancy.remove_organisation(ORG, NOW_S)
    views[0].directory.add_organisation(Organisation(OrganisationId("org_s"), "site", 0.0))
    views[0].directory.add_account(operator)
    views[1].tenancy.remove_organisation(ORG, NOW_S)
    assert views[0].directory.accounts(ORG, "", 10) == ()


def test_names_stay_distinct(views: tuple[View, View]):
    first, second = views
    first.directory.add_organisation(Organisation(OrganisationId("org_b"), "bolt", 0.0))
    first.directory.add_project(Project(TenantId("ten_b"), ORG, "q", 8, 0.0))
    for rename in (
        lambda: second.tenancy.rename_organisation(ORG, "bolt"),
        lambda: second.tenancy.rename_project(PROJECT, "q"),
    ):
        with pytest.raises(ConflictError, match="taken"):
            rename()
    assert second.tenancy.rename_organisation(ORG, "acme") == first.directory.organisation(ORG)
    assert second.tenancy.rename_project(PROJECT, "r") == first.directory.project(PROJECT)
