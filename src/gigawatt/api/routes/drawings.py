"""The floor: as a document of boxes, as rows of text, as a picture; and what contradicts itself."""

from typing import Annotated, Literal

from fastapi import Query, Response

from gigawatt.api.access import Access, Allowed
from gigawatt.api.paging import Cursor, Limit, number_place, page_of
from gigawatt.api.routing import new_router, operation
from gigawatt.app.fleet_views import drawn, painted, png_of, svg_of
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.drawing.paint import Paint
from gigawatt.fleet.model import Fleet
from gigawatt.sdk import documents as doc

router = new_router("fleet")

PROJECTS_NAMED_MAX = 10_000
"""Projects that a drawing names; clusters of others are named by their id. Ours."""

Width = Annotated[int, Query(ge=40, le=400, description="Most letters of a row.")]
PictureFormat = Annotated[Literal["svg", "png"], Query()]


def _now(access: Access) -> tuple[Fleet, Paint]:
    access.permit()
    around, directory = access.service.control.around, access.service.directory
    names = {p.project_id: p.name for p in directory.projects(None, "", PROJECTS_NAMED_MAX)}
    snapshot = around.store.snapshot(around.clock.now_s())
    return around.fleet, painted(around.fleet, snapshot, names)


@operation(router, "GET", "/fleet/drawing")
def get_fleet_drawing(access: Allowed, width: Width = 100) -> doc.FleetDrawing:
    """The floor as rows of text, coloured by who holds what."""
    fleet, paint = _now(access)
    return drawn(fleet, paint, width)


@operation(router, "GET", "/fleet/picture", media="image/*")
def get_fleet_picture(access: Allowed, picture_format: PictureFormat = "svg") -> Response:
    """The floor as a picture: SVG or PNG."""
    fleet, paint = _now(access)
    if picture_format == "svg":
        return Response(svg_of(fleet, paint), media_type="image/svg+xml")
    return Response(png_of(fleet, paint), media_type="image/png")


@operation(router, "GET", "/fleet/notes")
def list_fleet_notes(
    access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.FleetNote]:
    """Contradictions in the fleet: wiring, power, addresses. None is what is wanted."""
    access.permit()
    start = number_place(cursor, 0)
    notes = check_fleet(access.service.control.around.fleet)
    return page_of(
        list(enumerate(notes, 1))[start : start + limit + 1],
        limit,
        lambda row: row[0],
        lambda row: doc.FleetNote(rule=row[1].rule, place=row[1].place, sentence=row[1].sentence),
    )
