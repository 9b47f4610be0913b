"""Host images that an instance can boot: one list, in every region for the CPUs that it has."""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal

import numpy as np

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed
from gigawatt.api.lambda_cloud.regions import region_of
from gigawatt.api.lambda_cloud.route import new_router, operation
from gigawatt.app.server import Service
from gigawatt.errors import UnknownIdError

router = new_router()

Architecture = Literal["x86_64", "arm64"]

ARM_GPU_TYPES = frozenset({"gh200", "gb200", "gb300", "vr200"})
"""GPU types on one board with an Arm CPU. Source: NVIDIA's datasheets of Grace and Vera boards."""


@dataclass(frozen=True, slots=True)
class ImageFamily:
    """A host image by the name that the planner knows; ``released`` says how old its base is."""

    name: str
    description: str
    version: str
    released: datetime


FAMILIES = (
    ImageFamily(
        name="debian-12-gpu",
        description="Debian 12 with the drivers of the node's GPUs",
        version="12",
        released=datetime(2023, 6, 10, tzinfo=UTC),
    ),
)
"""What can be booted. Source of the date: www.debian.org/releases/bookworm."""


def image_id(name: str, site_id: str, architecture: Architecture) -> str:
    """Id of an image in one place, 32 hexadecimal digits."""
    said = f"{name}/{site_id}/{architecture}".encode()
    return blake2b(said, digest_size=16).hexdigest()


def architectures_at(service: Service, site_id: str) -> tuple[Architecture, ...]:
    """CPU architectures of a site's nodes."""
    fleet = service.control.around.fleet
    here = fleet.nodes.type[fleet.site_of_node == fleet.sites.index_of[site_id]]
    kinds = {fleet.node_types[row].gpu_type in ARM_GPU_TYPES for row in np.unique(here).tolist()}
    found: list[Architecture] = ["x86_64"] if False in kinds else []
    return (*found, "arm64") if True in kinds else tuple(found)


def images_at(service: Service, site_id: str) -> list[doc.HostImage]:
    """Images of one region."""
    return [
        doc.HostImage(
            id=image_id(family.name, site_id, architecture),
            created_time=family.released,
            updated_time=family.released,
            name=family.name,
            description=family.description,
            family=family.name,
            version=family.version,
            architecture=architecture,
            region=region_of(service, site_id),
        )
        for family in FAMILIES
        for architecture in architectures_at(service, site_id)
    ]


def chosen_image(service: Service, site_id: str, wanted: doc.ImageById | None) -> str:
    """Name of the image that a launch in a region asks for; the first one if it names none.

    Raises:
        UnknownIdError: there is none of this id or family in the region.
    """
    if wanted is None or (wanted.id is None and wanted.family is None):
        return FAMILIES[0].name
    for found in images_at(service, site_id):
        if found.id == wanted.id or (wanted.id is None and found.family == wanted.family):
            return found.name
    raise UnknownIdError(
        f"no image {wanted.id or wanted.family!r} in this region",
        next_step="See GET /api/v1/images for ids and families.",
    )


@operation(router, "GET", "/images")
def list_lambda_images(access: Allowed) -> doc.Answer[list[doc.HostImage]]:
    """Images that an instance can boot."""
    access.permit()
    sites = access.service.control.around.fleet.sites.ids
    return doc.Answer(
        data=[found for site_id in sites for found in images_at(access.service, site_id)]
    )
