"""The connection of a command: a client of the API, of a server or of the embedded control plane.

Both are the same client and the same application, so a command does not know which it has.
"""

import gc
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gigawatt.cli.work.profiles import Place, place_now
from gigawatt.errors import GigawattError, InputError, UnauthenticatedError, UnknownIdError
from gigawatt.sdk import Client, calls
from gigawatt.sdk import documents as doc

PAGE_LIMIT = 500
PARTS = "gigawatt.api.parts:PartedApplication"
"""The application of a server, each part made when a request needs it."""

EMBEDDED_ADDRESS = "http://embedded"

_DRAWN_ID = re.compile(r"ten_[0-9a-f]{16}")


@dataclass(slots=True)
class Connection:
    """A client, and what names mean to it.

    Fields:
        client: calls the API.
        server: its address; empty for the embedded control plane.
        default_project: id or name of the project of whoever names none.
        adopt: makes a project of this name, where that is done at its first use.
    """

    client: Client
    server: str
    default_project: str
    adopt: Callable[[str], str] | None = None
    _projects: dict[str, doc.Project] = field(default_factory=dict)

    def projects(self) -> dict[str, doc.Project]:
        """Projects that the caller sees, by id."""
        if not self._projects:
            found = self.client.pages(calls.list_projects, limit=PAGE_LIMIT)
            self._projects = {project.id: project for project in found}
        return self._projects

    def find_project(self, text: str) -> str | None:
        """Id of the project of this id or name.

        Raises:
            InputError: several organisations have one of this name.
        """
        if text in self.projects():
            return text
        ids = [project.id for project in self.projects().values() if project.name == text]
        if len(ids) > 1:
            raise InputError(
                f"{len(ids)} projects are called {text!r}: {', '.join(sorted(ids))}",
                next_step="Name it by its id.",
            )
        return ids[0] if ids else None

    def project_id(self, text: str | None) -> str:
        """Id of the project that was named, or of the caller's own if it is clear which.

        Raises:
            UnknownIdError: there is none of this id or name.
            InputError: none was named and the caller has several.
        """
        wanted = text or self.default_project
        if wanted and self.adopt is not None:
            return self.adopt(wanted)
        found = self.find_project(wanted) if wanted else None
        if found is not None:
            return found
        names = sorted(project.name for project in self.projects().values())
        if wanted:
            raise UnknownIdError(
                f"no project {wanted!r}",
                next_step=f"Name one of {', '.join(names[:10])}." if names else "gw project list",
            )
        return self._only_project(names)

    def _only_project(self, names: list[str]) -> str:
        me = self.client.who_am_i()
        own = [p.id for p in self.projects().values() if p.organisation_id == me.organisation_id]
        if me.project_id is not None or len(own) == 1:
            return me.project_id or own[0]
        raise InputError(
            "no project was named" if names else "there is no project yet",
            next_step=f"Add --project, with one of {', '.join(names[:10])}."
            if names
            else "Make one: gw project create NAME",
        )

    def project_name(self, project_id: str) -> str:
        """What people call a project; its id where the caller does not see it."""
        if self.adopt is not None and not _DRAWN_ID.fullmatch(project_id):
            return project_id  # made at its first use, so its id is its name
        found = self.projects().get(project_id)
        return found.name if found else project_id

    def cluster(self, name_or_id: str, project: str | None = None) -> doc.Cluster:
        """The cluster of this id; else the live one of this name, else the newest ended one.

        Raises:
            InputError: nothing was named.
            UnknownIdError: there is none, or several projects have one of this name.
        """
        if name_or_id.startswith("clu_"):
            return self.client.get_cluster(name_or_id)
        if not name_or_id:
            raise InputError("no cluster was named")
        whose = f" of tenant {project!r}" if project else ""
        project_id = self.find_project(project) if project else None
        if project and project_id is None:
            raise UnknownIdError(f"no cluster {name_or_id!r}{whose}")
        found: list[doc.Cluster] = []
        for with_ended in (False, True):
            pages = self.client.pages(
                calls.list_clusters, name=name_or_id, with_ended=with_ended, limit=PAGE_LIMIT
            )
            found = [c for c in pages if project_id is None or c.project_id == project_id]
            if found:
                break
        if not found:
            raise UnknownIdError(f"no cluster {name_or_id!r}{whose}")
        owners = sorted({self.project_name(cluster.project_id) for cluster in found})
        if len(owners) > 1:
            raise UnknownIdError(
                f"{len(owners)} tenants have a cluster {name_or_id!r}: {', '.join(owners)}",
                next_step=f"Name the tenant: --tenant {owners[0]}.",
            )
        return self.client.get_cluster(found[0].id)


@contextmanager
def connected(place: Place | None = None) -> Iterator[Connection]:
    """The connection that flags, environment and profiles ask for; closed at the end.

    Raises:
        GigawattError: the service cannot be reached, or said no.
    """
    where = place or place_now()
    if not where.server:
        with _embedded() as connection:
            yield connection
        return
    try:
        with Client(where.server, where.api_key) as client:
            yield Connection(client, where.server, where.project)
    except UnauthenticatedError as error:
        profile = f" --profile {where.profile}" if where.profile else ""
        error.next_step = f"Log in again: gw login {where.server}{profile}"
        raise


@contextmanager
def _embedded() -> Iterator[Connection]:
    # Collecting garbage while modules are made finds none and takes a fifth of the start.
    gc.disable()
    from gigawatt.app.embedded import DEFAULT_PROJECT, open_embedded  # noqa: PLC0415
    from gigawatt.app.home import Home  # noqa: PLC0415
    from gigawatt.app.server import load_application  # noqa: PLC0415
    from gigawatt.sdk.in_process import InProcessTransport  # noqa: PLC0415

    # Half a second of imports that a command of a server never needs.
    home = Home.default()
    with open_embedded(home) as service, _log_into(str(home.log_path)):
        workers = service.worker
        application = load_application(PARTS)(service)
        transport = InProcessTransport(application, getattr(workers, "tend", None))
        with Client(EMBEDDED_ADDRESS, "embedded", transport=transport) as client:
            gc.enable()
            try:
                yield Connection(client, "", DEFAULT_PROJECT, service.adopt_project)
            except GigawattError as error:
                if type(error) is GigawattError:
                    error.next_step = f"Report it with the end of {home.log_path}"
                raise


@contextmanager
def _log_into(path: str) -> Iterator[None]:
    """What the embedded application logs goes into the log of the home, or to the screen."""
    log = logging.getLogger("gigawatt")
    handler: logging.Handler = logging.StreamHandler()
    if not os.environ.get("GIGAWATT_DEBUG"):
        handler = logging.FileHandler(path, delay=True)
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = True
        log.removeHandler(handler)
        handler.close()
