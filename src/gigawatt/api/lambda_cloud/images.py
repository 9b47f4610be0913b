"""Host images that an instance can boot: one list, in every region for the CPUs that it has."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal

import numpy as np

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed
from gigawatt.api.lambda_cloud.regions import region_of
from gigawatt.api.lambda_cloud.route import new_router, operation
from gigawatt.app.service import Service
from gigawatt.errors import UnknownIdError
from gigawatt.fleet.catalogue import host_images

router = new_router()

Architecture = Literal["x86_64", "arm64"]

ARM_GPU_TYPES = frozenset({"gh200", "gb200", "gb300", "vr200"})
"""GPU types on one board with an Arm CPU. Source: NVIDIA's datasheets of Grace and Vera boards."""


_RELEASED: Mapping[str, datetime] = {
    "debian-12-gpu": datetime(2023, 6, 10, tzinfo=UTC),
    "ubuntu-22-04-gpu": datetime(2022, 4, 21, tzinfo=UTC),
    "ubuntu-24-04-gpu": datetime(2024, 4, 25, tzinfo=UTC),
}
"""When the operating system of an image was released, which is all that is known of its age.
Sources: www.debian.org/releases/bookworm; wiki.ubuntu.com/Releases."""
_NOT_KNOWN = datetime(1970, 1, 1, tzinfo=UTC)


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
            id=image_id(row.host_image_id, site_id, architecture),
            created_time=_RELEASED.get(row.host_image_id, _NOT_KNOWN),
            updated_time=_RELEASED.get(row.host_image_id, _NOT_KNOWN),
            name=row.host_image_id,
            description=row.description,
            family=row.family,
            version=row.version,
            architecture=architecture,
            region=region_of(service, site_id),
        )
        for row in host_images()
        for architecture in architectures_at(service, site_id)
        if row.architecture in {"any", architecture}
    ]


def chosen_image(service: Service, site_id: str, wanted: doc.ImageById | None) -> str:
    """Name of the image that a launch in a region asks for; the first one if it names none.

    Raises:
        UnknownIdError: there is none of this id or family in the region.
    """
    images = images_at(service, site_id)
    if wanted is None or (wanted.id is None and wanted.family is None):
        return images[0].name
    if wanted.id is not None:
        fits = [found for found in images if found.id == wanted.id]
    else:
        fits = [found for found in images if found.family == wanted.family]
    if not fits:
        raise UnknownIdError(
            f"no image {wanted.id or wanted.family!r} in this region",
            next_step="See GET /api/v1/images for ids and families.",
        )
    return max(fits, key=lambda found: found.version).name


@operation(router, "GET", "/images")
def list_lambda_images(access: Allowed) -> doc.Answer[list[doc.HostImage]]:
    """Images that an instance can boot."""
    access.permit()
    sites = access.service.control.around.fleet.sites.ids
    return doc.Answer(
        data=[found for site_id in sites for found in images_at(access.service, site_id)]
    )
