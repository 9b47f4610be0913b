"""Documents of the site: what drives its planes."""

from gigawatt.sdk.documents.base import Answer


class SiteDriver(Answer):
    """One driver of one plane; ``fake`` has nothing real behind it."""

    plane: str
    driver: str
    device_count: int


class Site(Answer):
    """The drivers of all planes, in the order in which planes are written down."""

    drivers: list[SiteDriver]
