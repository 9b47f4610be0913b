"""The table of permissions: which role may call which operation on what.

Every operation of the API has one row. An object that a caller cannot see does not exist for
them; an object they see, but may not touch, is forbidden.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gigawatt.identity.accounts import Account, AccountId, AccountRole, OrganisationId
from gigawatt.identity.keys import ApiKey
from gigawatt.identity.sessions import Session
from gigawatt.ids import TenantId

Verdict = Literal["allowed", "hidden", "forbidden"]

OWNER, OPERATOR = AccountRole.OWNER, AccountRole.OPERATOR
MEMBER, BILLING, READ_ONLY = AccountRole.MEMBER, AccountRole.BILLING, AccountRole.READ_ONLY

EVERYBODY = frozenset(AccountRole)
VIEWERS = frozenset({OWNER, OPERATOR, MEMBER, READ_ONLY})
BUILDERS = frozenset({OWNER, OPERATOR, MEMBER})
MANAGERS = frozenset({OWNER, OPERATOR})
OPERATORS = frozenset({OPERATOR})
PAYERS = frozenset({OWNER, OPERATOR, BILLING})


class Scope(StrEnum):
    """What an operation is about."""

    PUBLIC = "public"
    SELF = "self"
    SITE = "site"
    ORGANISATION = "organisation"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Permission:
    """Who may call one operation; ``self_roles`` may if the object is their own account's."""

    scope: Scope
    roles: frozenset[AccountRole]
    self_roles: frozenset[AccountRole] = frozenset()


_SITE, _PROJECT, _ORGANISATION = Scope.SITE, Scope.PROJECT, Scope.ORGANISATION

PERMISSIONS: Mapping[str, Permission] = {
    "who_am_i": Permission(Scope.SELF, EVERYBODY),
    "get_fleet": Permission(_SITE, EVERYBODY),
    "get_fleet_cells": Permission(_SITE, OPERATORS),
    "get_fleet_power": Permission(_SITE, OPERATORS),
    "get_fleet_load": Permission(_SITE, OPERATORS),
    "get_stranded": Permission(_SITE, OPERATORS),
    "get_fleet_map": Permission(_SITE, OPERATORS),
    "get_fleet_drawing": Permission(_SITE, OPERATORS),
    "get_fleet_picture": Permission(_SITE, OPERATORS),
    "list_fleet_notes": Permission(_SITE, OPERATORS),
    "get_site": Permission(_SITE, OPERATORS),
    "lint_fabric": Permission(_SITE, OPERATORS),
    "list_rates": Permission(_SITE, EVERYBODY),
    "set_rates": Permission(_SITE, OPERATORS),
    "ask_price": Permission(_PROJECT, EVERYBODY),
    "list_nodes": Permission(_SITE, OPERATORS),
    "get_node": Permission(_SITE, OPERATORS),
    "drain_node": Permission(_SITE, OPERATORS),
    "quarantine_node": Permission(_SITE, OPERATORS),
    "return_node": Permission(_SITE, OPERATORS),
    "list_node_receipts": Permission(_SITE, OPERATORS),
    "list_closings": Permission(_SITE, OPERATORS),
    "plan_closing": Permission(_SITE, OPERATORS),
    "close_month": Permission(_SITE, OPERATORS),
    "list_invoices": Permission(Scope.SELF, PAYERS),
    "get_invoice": Permission(_ORGANISATION, PAYERS),
    "get_invoice_file": Permission(_ORGANISATION, PAYERS),
    "create_credit_note": Permission(_ORGANISATION, OPERATORS),
    "plan_credit_note": Permission(_ORGANISATION, OPERATORS),
    "get_statement": Permission(_ORGANISATION, PAYERS),
    "get_payment_options": Permission(Scope.SELF, PAYERS),
    "pay_invoice": Permission(_ORGANISATION, PAYERS),
    "list_payments": Permission(Scope.SELF, PAYERS),
    "get_payment": Permission(_ORGANISATION, PAYERS),
    "refresh_payment": Permission(_ORGANISATION, PAYERS),
    "cancel_payment": Permission(_ORGANISATION, PAYERS),
    "create_refund": Permission(_ORGANISATION, OPERATORS),
    "record_payment": Permission(_ORGANISATION, OPERATORS),
    "list_overdue": Permission(_SITE, OPERATORS),
    "list_payouts": Permission(_SITE, OPERATORS),
    "refresh_payouts": Permission(_SITE, OPERATORS),
    "list_payment_events": Permission(_SITE, OPERATORS),
    "resolve_payment_event": Permission(_SITE, OPERATORS),
    "take_payment_event": Permission(Scope.PUBLIC, EVERYBODY),
    "list_contract_items": Permission(_ORGANISATION, PAYERS),
    "create_contract_item": Permission(_ORGANISATION, OPERATORS),
    "list_product_prices": Permission(_SITE, OPERATORS),
    "create_product_price": Permission(_SITE, OPERATORS),
    "check_ledger": Permission(_SITE, OPERATORS),
    "export_ledger": Permission(_SITE, OPERATORS),
    "set_cost_tag": Permission(_PROJECT, BUILDERS),
    "get_budget": Permission(_PROJECT, EVERYBODY),
    "set_budget": Permission(_PROJECT, MANAGERS),
    "delete_budget": Permission(_PROJECT, MANAGERS),
    "get_organisation_budget": Permission(_ORGANISATION, PAYERS),
    "set_organisation_budget": Permission(_ORGANISATION, MANAGERS),
    "delete_organisation_budget": Permission(_ORGANISATION, MANAGERS),
    "list_organisations": Permission(Scope.SELF, EVERYBODY),
    "create_organisation": Permission(_SITE, OPERATORS),
    "change_organisation": Permission(_ORGANISATION, MANAGERS),
    "delete_organisation": Permission(_ORGANISATION, OPERATORS),
    "list_projects": Permission(Scope.SELF, EVERYBODY),
    "create_project": Permission(_ORGANISATION, MANAGERS),
    "get_project": Permission(_PROJECT, EVERYBODY),
    "change_project": Permission(_ORGANISATION, MANAGERS),
    "delete_project": Permission(_ORGANISATION, MANAGERS),
    "get_quota": Permission(_PROJECT, EVERYBODY),
    "set_quota": Permission(_PROJECT, OPERATORS),
    "list_accounts": Permission(_ORGANISATION, MANAGERS),
    "create_account": Permission(_ORGANISATION, MANAGERS),
    "get_account": Permission(_ORGANISATION, MANAGERS, EVERYBODY),
    "change_account": Permission(_ORGANISATION, MANAGERS),
    "delete_account": Permission(_ORGANISATION, MANAGERS),
    "list_api_keys": Permission(Scope.SELF, EVERYBODY),
    "create_api_key": Permission(_ORGANISATION, MANAGERS, EVERYBODY),
    "get_api_key": Permission(_ORGANISATION, MANAGERS, EVERYBODY),
    "rotate_api_key": Permission(_ORGANISATION, MANAGERS, EVERYBODY),
    "revoke_api_key": Permission(_ORGANISATION, MANAGERS, EVERYBODY),
    "list_invitations": Permission(_ORGANISATION, MANAGERS),
    "create_invitation": Permission(_ORGANISATION, MANAGERS),
    "get_invitation": Permission(_ORGANISATION, MANAGERS),
    "delete_invitation": Permission(_ORGANISATION, MANAGERS),
    "list_sessions": Permission(Scope.SELF, EVERYBODY),
    "end_session": Permission(_ORGANISATION, MANAGERS, EVERYBODY),
    "logout": Permission(Scope.SELF, EVERYBODY),
    "start_device_login": Permission(Scope.PUBLIC, EVERYBODY),
    "finish_device_login": Permission(Scope.PUBLIC, EVERYBODY),
    "list_audit": Permission(_ORGANISATION, MANAGERS),
    "get_audit_head": Permission(_SITE, OPERATORS),
    "verify_audit": Permission(_SITE, OPERATORS),
    "list_ssh_keys": Permission(_PROJECT, VIEWERS),
    "create_ssh_key": Permission(_PROJECT, BUILDERS),
    "get_ssh_key": Permission(_PROJECT, VIEWERS),
    "delete_ssh_key": Permission(_PROJECT, BUILDERS),
    "create_plan": Permission(_PROJECT, BUILDERS),
    "get_plan": Permission(_PROJECT, EVERYBODY),
    "apply_plan": Permission(_PROJECT, BUILDERS),
    "plan_cluster_change": Permission(_PROJECT, BUILDERS),
    "list_clusters": Permission(Scope.SELF, EVERYBODY),
    "create_cluster": Permission(_PROJECT, BUILDERS),
    "get_cluster": Permission(_PROJECT, EVERYBODY),
    "grow_cluster": Permission(_PROJECT, BUILDERS),
    "shrink_cluster": Permission(_PROJECT, BUILDERS),
    "replace_cluster_nodes": Permission(_PROJECT, BUILDERS),
    "release_cluster": Permission(_PROJECT, BUILDERS),
    "configure_cluster": Permission(_PROJECT, BUILDERS),
    "get_cluster_network": Permission(_PROJECT, VIEWERS),
    "get_cluster_topology": Permission(_PROJECT, VIEWERS),
    "read_redfish": Permission(_PROJECT, BUILDERS),
    "call_redfish": Permission(_PROJECT, BUILDERS),
    "change_redfish": Permission(_PROJECT, BUILDERS),
    "list_images": Permission(_SITE, EVERYBODY),
    "list_file_systems": Permission(Scope.SELF, EVERYBODY),
    "create_file_system": Permission(_PROJECT, BUILDERS),
    "get_file_system": Permission(_PROJECT, EVERYBODY),
    "resize_file_system": Permission(_PROJECT, BUILDERS),
    "delete_file_system": Permission(_PROJECT, BUILDERS),
    "get_s3_door": Permission(_PROJECT, EVERYBODY),
    "rotate_s3_key": Permission(_PROJECT, BUILDERS),
    "shut_s3_door": Permission(_PROJECT, BUILDERS),
    "get_storage_quota": Permission(_PROJECT, EVERYBODY),
    "set_storage_quota": Permission(_PROJECT, OPERATORS),
    "list_firewall_rulesets": Permission(Scope.SELF, VIEWERS),
    "create_firewall_ruleset": Permission(_PROJECT, BUILDERS),
    "get_firewall_ruleset": Permission(_PROJECT, VIEWERS),
    "change_firewall_ruleset": Permission(_PROJECT, BUILDERS),
    "delete_firewall_ruleset": Permission(_PROJECT, BUILDERS),
    "list_evidence": Permission(_PROJECT, VIEWERS),
    "list_files": Permission(_PROJECT, VIEWERS),
    "get_file": Permission(_PROJECT, VIEWERS),
    "list_operations": Permission(Scope.SELF, EVERYBODY),
    "get_operation": Permission(_PROJECT, EVERYBODY),
    "cancel_operation": Permission(_PROJECT, BUILDERS),
    "create_waiting_request": Permission(_PROJECT, BUILDERS),
    "list_waiting_requests": Permission(Scope.SELF, EVERYBODY),
    "get_waiting_request": Permission(_PROJECT, EVERYBODY),
    "withdraw_waiting_request": Permission(_PROJECT, BUILDERS),
    "plan_reservation": Permission(_PROJECT, BUILDERS),
    "create_reservation": Permission(_PROJECT, MANAGERS),
    "book_reservation": Permission(_PROJECT, MANAGERS),
    "cancel_reservation": Permission(_PROJECT, MANAGERS),
    "list_reservations": Permission(Scope.SELF, EVERYBODY),
    "get_reservation": Permission(_PROJECT, EVERYBODY),
    "get_capacity": Permission(_SITE, EVERYBODY),
    "list_spot_prices": Permission(_SITE, EVERYBODY),
    "list_spot_rounds": Permission(_SITE, EVERYBODY),
    "list_notices": Permission(Scope.SELF, EVERYBODY),
    "get_market_order": Permission(_SITE, EVERYBODY),
    "answer_notice": Permission(_PROJECT, BUILDERS),
    "note_checkpoint": Permission(_PROJECT, BUILDERS),
    "get_admission": Permission(_SITE, OPERATORS),
    "list_turned_away": Permission(_SITE, OPERATORS),
    "list_turned_away_days": Permission(_SITE, OPERATORS),
    "list_usage": Permission(Scope.SELF, EVERYBODY),
    "get_usage_summary": Permission(Scope.SELF, EVERYBODY),
    "send_usage_events": Permission(_SITE, OPERATORS),
    "check_usage": Permission(_SITE, OPERATORS),
    # Billing accounts of the organisation that runs the site; the handler refuses all others.
    "get_utilisation": Permission(_SITE, OPERATORS | {BILLING}),
    "stream_operation": Permission(_PROJECT, EVERYBODY),
    "list_events": Permission(Scope.SELF, VIEWERS),
    "stream_events": Permission(Scope.SELF, VIEWERS),
    "create_proof": Permission(_SITE, OPERATORS),
    "get_proof": Permission(_SITE, OPERATORS),
    "create_reconciliation": Permission(_SITE, OPERATORS),
    "list_reconciliations": Permission(_SITE, OPERATORS),
    "get_reconciler": Permission(_SITE, OPERATORS),
    "get_reconciliation": Permission(_SITE, OPERATORS),
    "compute_chain": Permission(Scope.SELF, EVERYBODY),
    "compute_fleet_chain": Permission(_SITE, OPERATORS),
    "compute_gpu_hour": Permission(Scope.SELF, EVERYBODY),
    "compute_life": Permission(Scope.SELF, EVERYBODY),
    "compute_index": Permission(Scope.SELF, EVERYBODY),
    "compute_underwriting": Permission(Scope.SELF, EVERYBODY),
    "list_lambda_instances": Permission(_PROJECT, EVERYBODY),
    "get_lambda_instance": Permission(_PROJECT, EVERYBODY),
    "rename_lambda_instance": Permission(_PROJECT, BUILDERS),
    "launch_lambda_instance": Permission(_PROJECT, BUILDERS),
    "restart_lambda_instances": Permission(_PROJECT, BUILDERS),
    "terminate_lambda_instances": Permission(_PROJECT, BUILDERS),
    "list_lambda_instance_types": Permission(_SITE, EVERYBODY),
    "list_lambda_regions": Permission(_SITE, EVERYBODY),
    "list_lambda_images": Permission(_SITE, EVERYBODY),
    "list_lambda_ssh_keys": Permission(_PROJECT, VIEWERS),
    "add_lambda_ssh_key": Permission(_PROJECT, BUILDERS),
    "delete_lambda_ssh_key": Permission(_PROJECT, BUILDERS),
    "list_lambda_audit_events": Permission(_ORGANISATION, MANAGERS),
    "list_lambda_file_systems": Permission(_PROJECT, EVERYBODY),
    "create_lambda_file_system": Permission(_PROJECT, BUILDERS),
    "delete_lambda_file_system": Permission(_PROJECT, BUILDERS),
    "list_lambda_firewall_rules": Permission(_PROJECT, VIEWERS),
    "set_lambda_firewall_rules": Permission(_PROJECT, BUILDERS),
    "list_lambda_firewall_rulesets": Permission(_PROJECT, VIEWERS),
    "create_lambda_firewall_ruleset": Permission(_PROJECT, BUILDERS),
    "get_lambda_firewall_ruleset": Permission(_PROJECT, VIEWERS),
    "change_lambda_firewall_ruleset": Permission(_PROJECT, BUILDERS),
    "delete_lambda_firewall_ruleset": Permission(_PROJECT, BUILDERS),
    "get_lambda_global_firewall_ruleset": Permission(_PROJECT, VIEWERS),
    "change_lambda_global_firewall_ruleset": Permission(_PROJECT, BUILDERS),
}
"""Every operation of both doors by its id; those of the Lambda-compatible one have its name in
theirs. ``self``: answers only with what the caller reaches."""
"""Every operation of the API by its id. ``self``: answers only with what the caller reaches;
``public``: is how somebody becomes a caller, so nobody is one yet."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """Whose an object is; None where it belongs to no one of the kind."""

    organisation_id: OrganisationId | None = None
    project_id: TenantId | None = None
    account_id: AccountId | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: an account, through one of its keys, or through a session of a browser.

    Fields: key is what was shown; of a session, ``key_id`` is its own id.
    """

    account: Account
    key: ApiKey | Session

    @property
    def is_operator(self) -> bool:
        """Whether the caller reaches every organisation."""
        return self.account.role is OPERATOR


def sees(caller: Caller, belonging: Belonging) -> bool:
    """Whether an object exists for a caller."""
    narrowed = caller.key.project_id
    if narrowed is not None and belonging.project_id not in {None, narrowed}:
        return False
    return caller.is_operator or belonging.organisation_id == caller.account.organisation_id


def judge(caller: Caller, operation: str, belonging: Belonging | None = None) -> Verdict:
    """Whether a caller may call an operation on an object.

    Args:
        caller: who.
        operation: a key of ``PERMISSIONS``.
        belonging: whose the object is; None for operations of the scopes self and site.
    """
    permission = PERMISSIONS[operation]
    if permission.scope is Scope.PUBLIC:
        return "allowed"
    role, is_narrow = caller.account.role, caller.key.project_id is not None
    if permission.scope in {Scope.SELF, Scope.SITE}:
        is_open = permission.scope is Scope.SELF or permission.roles == EVERYBODY
        return "allowed" if role in permission.roles and (is_open or not is_narrow) else "forbidden"
    assert belonging is not None, f"{operation} is about an object"
    if not sees(caller, belonging):
        return "hidden"
    is_own = belonging.account_id == caller.account.account_id
    is_allowed = role in permission.roles or (is_own and role in permission.self_roles)
    if is_narrow and permission.scope is Scope.ORGANISATION:
        # A key for one project must not make itself a wider one.
        is_allowed = is_allowed and is_own and operation.startswith("get_")
    return "allowed" if is_allowed else "forbidden"


def can_grant(caller: Caller, role: AccountRole) -> bool:
    """Whether a caller who may manage accounts may give one this role."""
    return caller.is_operator or role is not OPERATOR
