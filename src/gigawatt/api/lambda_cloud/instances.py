"""Instances: list, look, rename, launch, terminate."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import Query

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed, LambdaAccess
from gigawatt.api.lambda_cloud.launching import launch
from gigawatt.api.lambda_cloud.listing import (
    NO_RESTART,
    Seen,
    find_seen,
    instance_document,
    seen_in,
)
from gigawatt.api.lambda_cloud.route import new_router, operation
from gigawatt.api.paging import NEWEST
from gigawatt.errors import ConflictError, ForbiddenError, InputError, UnknownIdError
from gigawatt.identity.accounts import Project
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.instances import Instance
from gigawatt.planner.phases import Phase

router = new_router()

ClusterFilter = Annotated[str | None, Query(max_length=128)]


@operation(router, "GET", "/instances")
def list_lambda_instances(
    access: Allowed, cluster_id: ClusterFilter = None
) -> doc.Answer[list[doc.Instance]]:
    """Instances that have not ended; those of one cluster if it is named."""
    project, service = access.workspace(), access.service
    holding = service.instances.holding(project.project_id)
    return doc.Answer(
        data=[
            instance_document(service, seen)
            for seen in seen_in(holding)
            if cluster_id in {None, seen.record.cluster_id}
        ]
    )


@operation(router, "GET", "/instances/{instance_id}")
def get_lambda_instance(instance_id: str, access: Allowed) -> doc.Answer[doc.Instance]:
    """One instance."""
    seen = find_seen(access, access.workspace(), instance_id[:64])
    return doc.Answer(data=instance_document(access.service, seen))


@operation(router, "POST", "/instances/{instance_id}")
def rename_lambda_instance(
    instance_id: str, body: doc.RenameRequest, access: Allowed
) -> doc.Answer[doc.Instance]:
    """Give an instance another name; it is not unique."""
    project = access.workspace()
    found = find_seen(access, project, instance_id[:64])
    access.service.instances.rename(_own(found).instance_id, body.name or None)
    again = find_seen(access, project, found.instance_id)
    return doc.Answer(data=instance_document(access.service, again))


def _own(seen: Seen) -> Instance:
    """What is kept of an instance that was launched here.

    Raises:
        ForbiddenError: it is a node of a cluster that was made by the native API.
    """
    if seen.instance is None:
        cluster_id = seen.record.cluster_id
        raise ForbiddenError(
            f"instance {seen.instance_id!r} is a node of cluster {cluster_id!r}",
            next_step=f"Change the cluster: /gw/v1/clusters/{cluster_id}, :shrink or :release.",
        )
    return seen.instance


@operation(router, "POST", "/instance-operations/launch")
def launch_lambda_instance(body: doc.LaunchRequest, access: Allowed) -> doc.Answer[doc.Launched]:
    """Launch one instance: a node or a slice of one, fenced on five planes, or nothing."""
    return doc.Answer(data=doc.Launched(instance_ids=[launch(access, body)]))


def _all_of(access: LambdaAccess, project: Project, wanted: Sequence[str]) -> list[Seen]:
    """Instances by their ids, each once.

    Raises:
        UnknownIdError: one of them is not there.
    """
    holding = access.service.instances.holding(project.project_id)
    known = {seen.instance_id: seen for seen in seen_in(holding)}
    for instance_id in wanted:
        if instance_id not in known:
            raise UnknownIdError(
                f"no instance {instance_id!r}", next_step="List what you can see, and take its id."
            )
    return [known[instance_id] for instance_id in dict.fromkeys(wanted)]


@operation(router, "POST", "/instance-operations/restart")
def restart_lambda_instances(body: doc.InstanceIds, access: Allowed) -> doc.Answer[doc.Restarted]:
    """Say of instances that they cannot be restarted from outside.

    Raises:
        ConflictError: always, when they are there.
    """
    found = _all_of(access, access.workspace(), body.instance_ids)
    raise ConflictError(
        f"instance {found[0].instance_id!r} cannot be restarted: {NO_RESTART}",
        next_step="Restart it from inside: ssh to it and run 'sudo reboot'.",
    )


@operation(router, "POST", "/instance-operations/terminate")
def terminate_lambda_instances(
    body: doc.InstanceIds, access: Allowed
) -> doc.Answer[doc.Terminated]:
    """Give instances back, booting ones too; their data is deleted."""
    project, service = access.workspace(), access.service
    found = _all_of(access, project, body.instance_ids)
    kept = [_own(seen) for seen in found]
    for seen, instance in zip(found, kept, strict=True):
        service.instances.ask_release(instance.instance_id, service.now_s())
        _begin_release(access, seen)
    service.worker.wake()
    holding = service.instances.holding(project.project_id)
    after = {seen.instance_id: seen for seen in seen_in(holding)}
    return doc.Answer(
        data=doc.Terminated(
            terminated_instances=[
                instance_document(service, after.get(seen.instance_id, seen)) for seen in found
            ]
        )
    )


def _begin_release(access: LambdaAccess, seen: Seen) -> None:
    """Commit the release of an active instance; have the launch of a booting one undone.

    What cannot begin now is begun later by whoever carries operations on: the wish is kept. It
    may also be that somebody was faster, and it is gone.
    """
    control, cluster_id = access.service.control, seen.record.cluster_id
    if seen.record.phase is Phase.ACTIVE:
        with suppress(ConflictError, InputError):
            control.commit(control.plan_release(cluster_id))
    elif seen.record.phase is Phase.LAUNCHING:
        directory = access.service.directory
        for line in directory.operation_page(Reach(None), NEWEST, 1, cluster_id):
            if line.state == "applying" and line.kind.is_reversible:
                who = access.caller.account.account_id
                directory.ask_cancel(line.operation_id, who, access.service.now_s())
