"""The floor: as a document of boxes, as rows of text, as a picture; and what contradicts itself."""

from typing import Annotated, Literal

from fastapi import Query, Response

from gigawatt.api.access import Access, Allowed
from gigawatt.api.paging import Cursor, Limit, number_place, page_of
from gigawatt.api.routing import new_router, operation
from gigawatt.app.fleet_views import drawn, painted, png_of, svg_of
from gigawatt.app.holdings import FleetHoldings, holdings_of
from gigawatt.fleet.check import check_fleet
from gigawatt.fleet.drawing.floor import floor_of
from gigawatt.fleet.drawing.paint import Paint
from gigawatt.fleet.model import Fleet
from gigawatt.ids import TenantId
from gigawatt.sdk import documents as doc

router = new_router("fleet")

PROJECTS_NAMED_MAX = 10_000
"""Projects that a drawing names; clusters of others are named by their id. Ours."""

Width = Annotated[int, Query(ge=40, le=400, description="Most letters of a row.")]
PictureFormat = Annotated[Literal["svg", "png"], Query()]


def _now(access: Access) -> tuple[Fleet, Paint]:
    access.permit()
    around = access.service.control.around
    snapshot = around.store.snapshot(around.clock.now_s())
    return around.fleet, painted(around.fleet, snapshot, project_names(access))


def project_names(access: Access) -> dict[TenantId, str]:
    """Names of projects by id, for those who see all of them."""
    found = access.service.directory.projects(None, "", PROJECTS_NAMED_MAX)
    return {project.project_id: project.name for project in found}


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


@operation(router, "GET", "/fleet/cells")
def get_fleet_cells(
    access: Allowed,
    with_places: Annotated[bool, Query(description="Also where everything stands.")] = True,
) -> doc.FleetCells:
    """Every GPU of the floor by columns: who holds it, and the state of its node."""
    access.permit()
    around = access.service.control.around
    now = holdings_of(around.fleet, around.store.snapshot(around.clock.now_s()))
    cells = _cells(now)
    if with_places:
        cells.places = _places(now.fleet)
    return cells


def _cells(now: FleetHoldings) -> doc.FleetCells:
    held = [(row, mask, name) for row, found in now.holders.items() for name, mask in found]
    names = list(dict.fromkeys(name for _, _, name in held))
    number = {name: index for index, name in enumerate(names)}
    clusters = [now.clusters.get(name) for name in names]
    row_of = now.fleet.nodes.index_of
    ill = [(row_of[n], state) for n, (state, _) in now.states.items() if n in row_of]
    return doc.FleetCells(
        held_node=[row for row, _, _ in held],
        held_gpu_mask=[mask for _, mask, _ in held],
        held_by=[number[name] for _, _, name in held],
        cluster_ids=[str(name) for name in names],
        cluster_names=["" if one is None else one.name for one in clusters],
        project_ids=["" if one is None else str(one.tenant_id) for one in clusters],
        drained_node=[row for row, state in ill if state == "drained"],
        quarantined_node=[row for row, state in ill if state == "quarantined"],
    )


def _places(fleet: Fleet) -> doc.FleetPlaces:
    floor, racks = floor_of(fleet), fleet.racks
    gpu_count = [kind.gpu_count for kind in fleet.node_types]
    return doc.FleetPlaces(
        width_px=floor.width,
        height_px=floor.height,
        words=[
            doc.FloorWord(x_px=one.x, y_px=one.y, size_px=one.size, text=one.text)
            for one in floor.words
            if one.is_title
        ],
        hall_ids=list(fleet.halls.ids),
        rack_ids=list(racks.ids),
        rack_hall=racks.hall.tolist(),
        rack_row=racks.row.tolist(),
        rack_box_px=floor.rack_boxes.ravel().tolist(),
        node_ids=list(fleet.nodes.ids),
        node_rack=fleet.nodes.rack.tolist(),
        node_gpu_count=[gpu_count[kind] for kind in fleet.nodes.type.tolist()],
    )


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
