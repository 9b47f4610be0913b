"""What the Tab key offers: names and ids that the control plane knows."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.errors import GigawattError
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc


def _clusters(connection: Connection) -> Iterable[str]:
    pages = connection.client.pages(calls.list_clusters, limit=PAGE_LIMIT)
    return (text for cluster in pages for text in (cluster.name, cluster.id))


def _projects(connection: Connection) -> Iterable[str]:
    return (t for p in connection.projects().values() for t in (p.name, p.id))


def _nodes(connection: Connection) -> Iterable[str]:
    wanted = doc.NodeFilter(limit=PAGE_LIMIT)
    return (n.id for n in connection.client.pages(partial(calls.list_nodes, wanted)))


def _operations(connection: Connection) -> Iterable[str]:
    page = connection.client.send(calls.list_operations(limit=100))
    return (operation.id for operation in page.items)


def _keys(connection: Connection) -> Iterable[str]:
    return (key.id for key in connection.client.pages(calls.list_api_keys, limit=PAGE_LIMIT))


NOUNS: Mapping[str, Callable[[Connection], Iterable[str]]] = {
    "cluster": _clusters,
    "project": _projects,
    "node": _nodes,
    "operation": _operations,
    "key": _keys,
}


def names_of(noun: str) -> list[str]:
    """Names and ids of a noun; none when nobody can be asked, because the Tab key has no voice."""
    try:
        with connected() as connection:
            return list(dict.fromkeys(NOUNS[noun](connection)))
    except GigawattError:
        return []
