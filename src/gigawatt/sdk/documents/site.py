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


class FabricFinding(Answer):
    """One thing that is wrong with how a fabric is kept, and what to do about it."""

    rule: str
    where: str
    reason: str
    next_step: str


class LintedFabric(Answer):
    """One compute fabric; ``is_judged`` is false where its driver cannot tell."""

    fabric_id: str
    is_judged: bool
    findings: list[FabricFinding]


class LintedFabrics(Answer):
    """All compute fabrics, in the fleet's order."""

    fabrics: list[LintedFabric]
