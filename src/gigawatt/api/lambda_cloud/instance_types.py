"""Instance types, with the regions where one is free now."""

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed
from gigawatt.api.lambda_cloud.offers import (
    TypeOffer,
    free_masks,
    offers_of,
    priced,
    sites_with_room,
)
from gigawatt.api.lambda_cloud.regions import region_of
from gigawatt.api.lambda_cloud.route import new_router, operation
from gigawatt.ids import TenantId
from gigawatt.intent.prices import PriceQuestion, Prices
from gigawatt.intent.term import Term

router = new_router()


def _prices(access: Allowed, offer: TypeOffer) -> Prices:
    """What the caller's organisation would pay; it has the same prices in all its projects."""
    service, caller = access.service, access.caller
    tenant_id = caller.key.project_id
    if tenant_id is None:
        found = service.directory.projects(caller.account.organisation_id, "", 1)
        tenant_id = found[0].project_id if found else TenantId("")
    question = PriceQuestion(tenant_id, Term.ON_DEMAND, offer.gpu_count, None, service.now_s())
    return service.market.ask_prices(question)


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
                instance_type=priced(fleet, offer, _prices(access, offer)),
                regions_with_capacity_available=[
                    regions[site_id] for site_id in sites_with_room(fleet, offer, free)
                ],
            )
            for name, offer in offers_of(fleet).items()
        }
    )
