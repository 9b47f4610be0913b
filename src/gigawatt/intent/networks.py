"""Networks of the world outside that a tenant may name, and those inside that nobody may."""

from ipaddress import IPv4Network, ip_network

INSIDE_NETWORKS = (IPv4Network("10.0.0.0/8"), IPv4Network("100.64.0.0/10"))
"""Networks of clusters and of BMCs. A gateway forwards to and from none of them, whatever its
rules say.

So ``0.0.0.0/0`` means the world less these; a network *inside* them could only aim at another
tenant or at a BMC, and is refused.
"""


def outside_complaint(what: str, cidr: str) -> str | None:
    """What is wrong with a network of the outside, None if nothing is.

    Args:
        what: what it is for, for the sentence.
        cidr: the network as it was written.
    """
    try:
        network = ip_network(cidr)
    except ValueError:
        return f"{what} {cidr!r} is not an IPv4 network such as 192.0.2.0/24"
    if not isinstance(network, IPv4Network):
        return f"{what} {cidr!r} is not IPv4"
    if any(network.subnet_of(inside) for inside in INSIDE_NETWORKS):
        return f"{what} {cidr!r} is an inside network, which no cluster may reach"
    return None
