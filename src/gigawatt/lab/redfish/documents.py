"""What says which version, which services and which schemas there are: nobody needs to log in."""

from gigawatt.lab.redfish.answer import Answer
from gigawatt.lab.redfish.request import Request
from gigawatt.lab.redfish.tree import COLLECTIONS, ROOT, SERVICES

SCHEMAS = "http://redfish.dmtf.org/schemas/v1"
METADATA_PATH = f"{ROOT}/$metadata"
_EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM = "http://docs.oasis-open.org/odata/ns/edm"
_NAMESPACE = "ServiceRoot.v1_16_0"


def versions(_: Request) -> Answer:
    """Versions of Redfish."""
    return Answer(200, {"v1": f"{ROOT}/"})


def odata(_: Request) -> Answer:
    """The OData service document."""
    names = ("Service", *SERVICES, *COLLECTIONS)
    urls = {name: f"{ROOT}/{name}" for name in names} | {"Service": f"{ROOT}/"}
    value = [{"name": name, "kind": "Singleton", "url": urls[name]} for name in names]
    return Answer(200, {"@odata.context": METADATA_PATH, "value": value})


def metadata(_: Request) -> Answer:
    """The OData metadata document (DSP0266, section 7.12): where the service's schema begins."""
    reference = f'<edmx:Include Namespace="{_NAMESPACE}"/>'
    container = f'<EntityContainer Name="Service" Extends="{_NAMESPACE}.ServiceContainer"/>'
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<edmx:Edmx xmlns:edmx="{_EDMX}" Version="4.0">'
        f'<edmx:Reference Uri="{SCHEMAS}/ServiceRoot_v1.xml">{reference}</edmx:Reference>'
        f'<edmx:DataServices><Schema xmlns="{_EDM}" Namespace="Service">{container}</Schema>'
        "</edmx:DataServices></edmx:Edmx>\n"
    )
    return Answer(200, xml=text)
