"""Who sees what, and who may do what, as a function of values.

Goal: nobody reaches another organisation but an operator; a key for one project never reaches
further; a wider key can do all that a narrower one can. Method: properties over random callers,
objects and operations of the table.
"""

from hypothesis import given
from hypothesis import strategies as st

from gigawatt.identity.accounts import Account, AccountId, AccountRole, ApiKeyId, OrganisationId
from gigawatt.identity.keys import ApiKey
from gigawatt.identity.permissions import (
    PERMISSIONS,
    Belonging,
    Caller,
    Scope,
    can_grant,
    judge,
    sees,
)
from gigawatt.ids import TenantId

PAYING = {"pay_invoice", "refresh_payment", "cancel_payment"}
"""What whoever keeps an organisation's bills does; it moves its own money and nothing else."""
ORGANISATIONS = [OrganisationId("org_a"), OrganisationId("org_b")]
PROJECTS = [TenantId("ten_a"), TenantId("ten_b")]
ACCOUNTS = [AccountId("acc_a"), AccountId("acc_b")]


def caller_of(
    role: AccountRole, organisation: OrganisationId, project: TenantId | None = None
) -> Caller:
    account = Account(ACCOUNTS[0], organisation, "n", "user", role, 0.0)
    key = ApiKey(ApiKeyId("key_a"), ACCOUNTS[0], project, "k", "", 0.0, None, None, None)
    return Caller(account, key)


callers = st.builds(
    caller_of,
    st.sampled_from(AccountRole),
    st.sampled_from(ORGANISATIONS),
    st.none() | st.sampled_from(PROJECTS),
)
belongings = st.builds(
    Belonging,
    st.none() | st.sampled_from(ORGANISATIONS),
    st.none() | st.sampled_from(PROJECTS),
    st.none() | st.sampled_from(ACCOUNTS),
)
about_objects = st.sampled_from(
    [n for n, p in PERMISSIONS.items() if p.scope in {Scope.PROJECT, Scope.ORGANISATION}]
)


@given(callers, belongings, about_objects)
def test_nobody_but_an_operator_sees_another_organisation(
    caller: Caller, belonging: Belonging, operation: str
):
    is_foreign = belonging.organisation_id != caller.account.organisation_id
    if is_foreign and caller.account.role is not AccountRole.OPERATOR:
        assert judge(caller, operation, belonging) == "hidden"


@given(callers, belongings, about_objects)
def test_a_narrow_key_sees_no_other_project(caller: Caller, belonging: Belonging, operation: str):
    narrowed = caller.key.project_id
    if narrowed is not None and belonging.project_id not in {None, narrowed}:
        assert judge(caller, operation, belonging) == "hidden"


@given(callers, belongings, st.sampled_from(sorted(PERMISSIONS)))
def test_a_narrow_key_may_nothing_that_a_wide_one_may_not(
    caller: Caller, belonging: Belonging, operation: str
):
    wide = caller_of(caller.account.role, caller.account.organisation_id)
    if judge(caller, operation, belonging) == "allowed":
        assert judge(wide, operation, belonging) == "allowed"


@given(callers, belongings, about_objects)
def test_what_is_seen_is_allowed_or_forbidden_and_never_hidden(
    caller: Caller, belonging: Belonging, operation: str
):
    assert (judge(caller, operation, belonging) == "hidden") != sees(caller, belonging)


def test_a_narrow_key_changes_nothing_of_its_organisation():
    narrow = caller_of(AccountRole.OWNER, ORGANISATIONS[0], PROJECTS[0])
    mine = Belonging(ORGANISATIONS[0], None, ACCOUNTS[0])
    for name, permission in PERMISSIONS.items():
        if permission.scope is Scope.ORGANISATION and not name.startswith("get_"):
            assert judge(narrow, name, mine) == "forbidden", name


def test_those_who_only_look_change_nothing():
    looks = ("get_", "list_", "stream_", "who_", "compute_", "ask_")
    changing = {name for name in PERMISSIONS if not name.startswith(looks)}
    # To log in and out is to change nothing but one's own being there.
    logins = {n for n in PERMISSIONS if PERMISSIONS[n].scope is Scope.PUBLIC} | {"logout"}
    for name in changing - logins:
        roles = PERMISSIONS[name].roles
        assert AccountRole.READ_ONLY not in roles, name
        assert AccountRole.BILLING not in roles or name in PAYING, name


def test_only_an_operator_makes_operators():
    for role in AccountRole:
        caller = caller_of(role, ORGANISATIONS[0])
        assert can_grant(caller, AccountRole.OPERATOR) == (role is AccountRole.OPERATOR)
        assert can_grant(caller, AccountRole.OWNER)
