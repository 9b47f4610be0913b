"""Calls of plans and clusters."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def create_plan(request: doc.ClusterRequest) -> Call[doc.Plan]:
    """Work out what a create would do; nothing is reserved."""
    return Call("POST", path_of("plans"), doc.Plan, body=request)


def get_plan(plan_id: str) -> Call[doc.Plan]:
    """A plan that was shown."""
    return Call("GET", path_of("plans", plan_id), doc.Plan)


def plan_cluster_change(
    cluster_id: str, change: doc.ChangePlan, *, if_match: int | None = None
) -> Call[doc.Plan]:
    """Work out what a change would do; nothing is reserved."""
    path = path_of("clusters", cluster_id, "plans")
    return Call("POST", path, doc.Plan, body=change, if_match=if_match)


def apply_plan(plan_id: str, *, if_match: int | None = None) -> Call[doc.Cluster]:
    """Carry out exactly the plan that was shown."""
    return Call("POST", path_of("plans", plan_id, verb="apply"), doc.Cluster, if_match=if_match)


def list_clusters(
    *,
    name: str | None = None,
    with_ended: bool | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[doc.Page[doc.Cluster]]:
    """Clusters that the caller sees, newest first."""
    query = query_of(name=name, with_ended=with_ended, cursor=cursor, limit=limit)
    return Call("GET", path_of("clusters"), doc.Page[doc.Cluster], query)


def create_cluster(request: doc.ClusterRequest) -> Call[doc.Cluster]:
    """Plan and apply in one."""
    return Call("POST", path_of("clusters"), doc.Cluster, body=request)


def get_cluster(cluster_id: str) -> Call[doc.Cluster]:
    """One cluster."""
    return Call("GET", path_of("clusters", cluster_id), doc.Cluster)


def get_cluster_topology(cluster_id: str) -> Call[doc.ClusterTopology]:
    """Where the nodes of a cluster stand, and how they are."""
    return Call("GET", path_of("clusters", cluster_id, "topology"), doc.ClusterTopology)


def grow_cluster(
    cluster_id: str, gpu_count: int, *, if_match: int | None = None
) -> Call[doc.Cluster]:
    """Add GPUs."""
    path, body = path_of("clusters", cluster_id, verb="grow"), doc.ChangeSize(gpu_count=gpu_count)
    return Call("POST", path, doc.Cluster, body=body, if_match=if_match)


def shrink_cluster(
    cluster_id: str, gpu_count: int, *, if_match: int | None = None
) -> Call[doc.Cluster]:
    """Give GPUs back."""
    path, body = path_of("clusters", cluster_id, verb="shrink"), doc.ChangeSize(gpu_count=gpu_count)
    return Call("POST", path, doc.Cluster, body=body, if_match=if_match)


def replace_cluster_nodes(
    cluster_id: str, node_ids: list[str], *, if_match: int | None = None
) -> Call[doc.Cluster]:
    """Put others in the place of failed nodes."""
    path, body = (
        path_of("clusters", cluster_id, verb="replace"),
        doc.ReplaceNodes(node_ids=node_ids),
    )
    return Call("POST", path, doc.Cluster, body=body, if_match=if_match)


def release_cluster(cluster_id: str, *, if_match: int | None = None) -> Call[doc.Cluster]:
    """Give everything back; its data is deleted."""
    path = path_of("clusters", cluster_id, verb="release")
    return Call("POST", path, doc.Cluster, if_match=if_match)


def list_evidence(
    cluster_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Evidence]]:
    """What was read back, proven and probed."""
    path = path_of("clusters", cluster_id, "evidence")
    return Call("GET", path, doc.Page[doc.Evidence], query_of(cursor=cursor, limit=limit))


def list_files(cluster_id: str) -> Call[doc.Page[doc.File]]:
    """Files that make a cluster usable."""
    return Call("GET", path_of("clusters", cluster_id, "files"), doc.Page[doc.File])


def get_file(cluster_id: str, file_name: str) -> Call[str]:
    """The text of one file."""
    return Call("GET", path_of("clusters", cluster_id, "files", file_name), str)
