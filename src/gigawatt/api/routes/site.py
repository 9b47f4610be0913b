"""Which drivers serve the planes of the site."""

import asyncio

from gigawatt.api.access import Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.app.fabric_care import lint_fabrics
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


@operation(router, "GET", "/site/fabrics")
def lint_fabric(access: Allowed) -> doc.LintedFabrics:
    """What is wrong with how the compute fabrics are kept: keys, managers' files, open ports."""
    access.permit()
    found = asyncio.run(lint_fabrics(access.service.control.around))
    return doc.LintedFabrics(
        fabrics=[
            doc.LintedFabric(
                fabric_id=one.fabric_id,
                is_judged=one.findings is not None,
                findings=[
                    doc.FabricFinding(
                        rule=finding.rule,
                        where=finding.where,
                        reason=finding.reason,
                        next_step=finding.next_step,
                    )
                    for finding in one.findings or ()
                ],
            )
            for one in found
        ]
    )
