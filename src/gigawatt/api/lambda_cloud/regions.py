"""Regions: the sites of the fleet, under the names that the operator gives them for this door."""

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed
from gigawatt.api.lambda_cloud.route import new_router, operation
from gigawatt.app.service import Service

router = new_router()


def region_of(service: Service, site_id: str) -> doc.Region:
    """The region that a site is."""
    fleet = service.control.around.fleet
    country = fleet.sites.country[fleet.sites.index_of[site_id]]
    name = service.lambda_settings.region_of_site.get(site_id, site_id)
    return doc.Region(name=name, description=f"{site_id}, {country}")


@operation(router, "GET", "/regions")
def list_lambda_regions(access: Allowed) -> doc.Answer[list[doc.Region]]:
    """Regions."""
    access.permit()
    service = access.service
    sites = service.control.around.fleet.sites.ids
    return doc.Answer(data=[region_of(service, site_id) for site_id in sites])
