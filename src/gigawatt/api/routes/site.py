"""Which drivers serve the planes of the site."""

from gigawatt.api.access import Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.app.site import drivers_in_use
from gigawatt.sdk import documents as doc

router = new_router("fleet")


@operation(router, "GET", "/site")
def get_site(access: Allowed) -> doc.Site:
    """Which drivers serve the planes, and how many devices each has."""
    access.permit()
    around = access.service.control.around
    used = drivers_in_use(around.fleet, around.drivers)
    return doc.Site(
        drivers=[
            doc.SiteDriver(plane=one.plane, driver=one.driver, device_count=one.device_count)
            for one in used
        ]
    )
