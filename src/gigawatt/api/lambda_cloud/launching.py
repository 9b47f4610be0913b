"""From a launch request to a committed cluster of one node.

The memory of the instance is written before its cluster is committed, under an id of the cluster
that is drawn first: so no cluster of this door is ever without its instance, and an instance
whose cluster was refused is forgotten. A crash between the two leaves a row that nobody sees.
"""

import re
import secrets
from dataclasses import replace

from gigawatt.api.changes import admit
from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import LambdaAccess
from gigawatt.api.lambda_cloud.file_systems import mounts_of
from gigawatt.api.lambda_cloud.firewalls import rulesets_of
from gigawatt.api.lambda_cloud.images import chosen_image
from gigawatt.api.lambda_cloud.offers import (
    TypeOffer,
    free_masks,
    has_nodes,
    offers_of,
    sites_with_room,
)
from gigawatt.errors import ConflictError, InputError, NoCapacityError, UnknownIdError
from gigawatt.identity.accounts import Project
from gigawatt.ids import ClusterId, SiteId
from gigawatt.intent.firewall import union_of
from gigawatt.intent.request import ClusterRequest, Level
from gigawatt.interfaces.directory import SshKey
from gigawatt.interfaces.instances import Instance
from gigawatt.planner.plan import Plan

EGRESS_CIDRS = ("0.0.0.0/0",)
"""An instance reaches the world, less the inside networks, as Lambda's do: tools that set one up
fetch packages from there. Clusters of the native API are closed unless their request says so."""

_LABEL_LENGTH_MAX = 40


def launch(access: LambdaAccess, body: doc.LaunchRequest) -> str:
    """Launch an instance; its id.

    Raises:
        UnknownIdError: something that the request names is not there.
        InputError: the request wants what is not served.
        NoCapacityError: no such instance is free in the region.
        QuotaError: the project would hold more GPUs than it may.
    """
    project = access.workspace()
    site_id, offer = _wanted(access, body)
    key = _ssh_key(access, project, body.ssh_key_names[0])
    _refuse_unserved(body)
    service, control = access.service, access.service.control
    cluster_id = ClusterId(control.new_id("clu"))
    instance = Instance(
        instance_id=secrets.token_hex(16),
        project_id=project.project_id,
        cluster_id=cluster_id,
        name=body.name or None,
        tags=tuple((tag.key, tag.value) for tag in body.tags or ()),
        ssh_key_names=(key.name,),
        created_s=service.now_s(),
    )
    wish = ClusterRequest(
        tenant_id=project.project_id,
        name=_cluster_name(body, instance.instance_id),
        gpu_count=offer.gpu_count,
        gpu_type=offer.gpu_type,
        keep_together=Level.NODE,
        site_ids=(SiteId(site_id),),
        image=chosen_image(service, site_id, body.image),
        ssh_public_keys=(key.public_key,),
        egress_cidrs=EGRESS_CIDRS,
        mounts=mounts_of(access, project, body, site_id),
    )

    def make_plan() -> Plan:
        # Rules are read for every try: a plan with those of before is refused.
        rulesets = rulesets_of(access, project, body, site_id)
        request = replace(
            wish,
            firewall_ruleset_ids=tuple(ruleset.ruleset_id for ruleset in rulesets),
            inbound_rules=union_of([ruleset.inbound_rules for ruleset in rulesets]),
        )
        return control.plan_create(request, with_alternatives=False, cluster_id=cluster_id)

    service.instances.add(instance)
    try:
        control.commit_new(make_plan, admit=admit(access))
    except NoCapacityError as error:
        service.instances.remove(instance.instance_id)
        raise _no_capacity(access, offer) from error
    except (InputError, ConflictError):
        service.instances.remove(instance.instance_id)
        raise
    service.worker.wake()
    return instance.instance_id


def _wanted(access: LambdaAccess, body: doc.LaunchRequest) -> tuple[str, TypeOffer]:
    """Site and instance type of a request."""
    fleet = access.service.control.around.fleet
    site_id = access.service.lambda_settings.site_of(body.region_name)
    if site_id is None:
        raise UnknownIdError(
            f"no region {body.region_name!r}", next_step="See GET /api/v1/regions."
        )
    offer = offers_of(fleet).get(body.instance_type_name)
    if offer is None:
        raise UnknownIdError(
            f"no instance type {body.instance_type_name!r}",
            next_step="See GET /api/v1/instance-types.",
        )
    if not has_nodes(fleet, offer, site_id):
        raise _no_capacity(access, offer)
    return site_id, offer


def _ssh_key(access: LambdaAccess, project: Project, name: str) -> SshKey:
    for key in access.ssh_keys(project):
        if key.name == name:
            return key
    raise UnknownIdError(f"no SSH key {name!r}", next_step="Add it with POST /api/v1/ssh-keys.")


def _refuse_unserved(body: doc.LaunchRequest) -> None:
    """Refuse what would be taken and not be done: nobody could see that from outside."""
    if body.user_data:
        raise InputError(
            "user_data is not served: nothing on the host would run it",
            next_step="Leave user_data out, and set the instance up over SSH when it is active.",
        )


def _no_capacity(access: LambdaAccess, offer: TypeOffer) -> NoCapacityError:
    """The refusal in the words that tools look for, with the regions that would do."""
    service = access.service
    fleet = service.control.around.fleet
    sites = sites_with_room(fleet, offer, free_masks(fleet, service.instances.taken()))
    regions = " ".join(service.lambda_settings.region_of_site[site_id] for site_id in sites)
    message = "Not enough capacity to fulfill launch request."
    if regions:
        message = f"{message} Regions with capacity available: {regions}"
    error = NoCapacityError(message)
    error.next_step = "Launch in a region with capacity, take another instance type, or wait."
    return error


def _cluster_name(body: doc.LaunchRequest, instance_id: str) -> str:
    """Name of the cluster behind: what its tenant will know it by, and what makes it unique."""
    said = re.sub(r"[^a-z0-9]+", "-", (body.hostname or body.name or "").lower()).strip("-")
    stem = said[:_LABEL_LENGTH_MAX].strip("-") or "instance"
    return f"{stem}-{instance_id[:12]}"
