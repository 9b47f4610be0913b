"""Instance types, with the regions where one is free now."""

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed
from gigawatt.api.lambda_cloud.offers import free_masks, offers_of, sites_with_room
from gigawatt.api.lambda_cloud.regions import region_of
from gigawatt.api.lambda_cloud.route import new_router, operation

router = new_router()


@operation(router, "GET", "/instance-types")
def list_lambda_instance_types(
    access: Allowed,
) -> doc.Answer[dict[str, doc.InstanceTypeOffer]]:
    """Instance types by name."""
    access.permit()
    service = access.service
    fleet = service.control.around.fleet
    free = free_masks(fleet, service.instances.taken())
    regions = {site_id: region_of(service, site_id) for site_id in fleet.sites.ids}
    return doc.Answer(
        data={
            name: doc.InstanceTypeOffer(
                instance_type=offer.shown,
                regions_with_capacity_available=[
                    regions[site_id] for site_id in sites_with_room(fleet, offer, free)
                ],
            )
            for name, offer in offers_of(fleet).items()
        }
    )
