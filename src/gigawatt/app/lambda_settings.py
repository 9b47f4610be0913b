"""What an operator sets for the Lambda-compatible door: region names, public addresses, limits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from gigawatt.app.rate import RateLimiter
from gigawatt.boundary.keys import PREFIX_LENGTH
from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet

REGIONS_VARIABLE = "GIGAWATT_LAMBDA_REGIONS"
"""Environment variable: ``SITE=REGION,...``; a site that is not named is a region by its id."""

PUBLIC_VARIABLE = "GIGAWATT_LAMBDA_PUBLIC_PREFIXES"
"""Environment variable: ``SITE=PREFIX,...``, for sites whose border translates addresses."""

IN_BAND_COUNT = 1 << (PREFIX_LENGTH - 8)
"""In-band networks of a site; a public prefix has an address for the first host of each."""

REQUEST_RATE_PER_S = 1.0
"""Source: Lambda Cloud API 1.10.0, "Rate limits": one request a second."""
LAUNCH_RATE_PER_S = 1.0 / 12.0
"""Source: as above: five launches a minute, one in 12 seconds."""

PublicPrefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class LambdaSettings:
    """Settings of the door.

    Fields:
        region_of_site: name of each site's region; every site has one, none twice.
        public_prefixes: prefix of each site that has public addresses.
        rate, launch_rate: limits of one key as Lambda has them, None for our own alone.
    """

    region_of_site: Mapping[str, str]
    public_prefixes: Mapping[str, PublicPrefix] = field(default_factory=dict)
    rate: RateLimiter | None = None
    launch_rate: RateLimiter | None = None

    @classmethod
    def from_environment(cls, fleet: Fleet) -> "LambdaSettings":
        """What the environment says.

        Raises:
            InputError: it names no site of the fleet, or a value cannot be used.
        """
        regions = _pairs(REGIONS_VARIABLE, fleet)
        prefixes = _pairs(PUBLIC_VARIABLE, fleet)
        return cls(
            region_of_site=_regions(fleet, regions),
            public_prefixes={site: _prefix(site, text) for site, text in prefixes.items()},
        )

    def with_parity(self) -> "LambdaSettings":
        """The same with Lambda's own limits."""
        return replace(
            self,
            rate=RateLimiter(REQUEST_RATE_PER_S, burst_count=1.0),
            launch_rate=RateLimiter(LAUNCH_RATE_PER_S, burst_count=1.0),
        )

    def site_of(self, region_name: str) -> str | None:
        """Site of a region, None if there is none."""
        found = (site for site, region in self.region_of_site.items() if region == region_name)
        return next(found, None)


def _pairs(variable: str, fleet: Fleet) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in os.environ.get(variable, "").split(","):
        site, _, value = (word.strip() for word in part.partition("="))
        if not part.strip():
            continue
        if site not in fleet.sites.index_of or not value or site in pairs:
            raise InputError(
                f"{variable} says {part.strip()!r}, wanted SITE=VALUE for a site of the fleet once",
                next_step=f"The sites are {', '.join(fleet.sites.ids)}.",
            )
        pairs[site] = value
    return pairs


def _regions(fleet: Fleet, named: Mapping[str, str]) -> dict[str, str]:
    regions = {site: named.get(site, site) for site in fleet.sites.ids}
    if len(set(regions.values())) < len(regions):
        raise InputError(f"{REGIONS_VARIABLE} gives two sites one region: {regions}")
    return regions


def _prefix(site: str, text: str) -> PublicPrefix:
    try:
        prefix = ip_network(text)
    except ValueError:
        prefix = None
    if prefix is None or prefix.num_addresses < IN_BAND_COUNT:
        raise InputError(
            f"{PUBLIC_VARIABLE}: {text!r} of site {site!r} is no prefix with"
            f" {IN_BAND_COUNT:,} addresses or more",
            next_step="Write e.g. 198.51.96.0/20 or 2001:db8::/64.",
        )
    return prefix
