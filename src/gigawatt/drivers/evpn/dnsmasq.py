"""DHCP and names of one network: a dnsmasq of its own in the gateway's namespace.

Addresses are given to known MACs only, by one file for each port. Names are those that hosts send
with their DHCP requests, so a host may call itself as it likes, within its own cluster only; names
of the world are not looked up.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network

from gigawatt.boundary.keys import gateway_of

LEASE_S = 3_600
"""How long a host keeps an address without asking again. Ours."""


@dataclass(frozen=True, slots=True)
class Dnsmasq:
    """Shell words for the servers of all networks. Fields: see ``GatewaySettings``."""

    folder: str
    dns_domain: str

    def is_running(self, vni: int | str) -> str:
        """A condition: whether the server of a network runs."""
        home = f"{self.folder}/{vni}"
        return (
            f'{{ [ -e "{home}/pid" ] && grep -qa "{home}/conf" /proc/$(cat "{home}/pid")/cmdline'
            " 2>/dev/null; }"
        )

    def start(self, vni: int, subnet: str, space: str) -> str:
        """Write its configuration and start it; ``space`` are words that enter the namespace."""
        home, gateway = f"{self.folder}/{vni}", gateway_of(subnet)
        network = IPv4Network(subnet)
        lines = (
            "interface=in",
            "bind-interfaces",
            "except-interface=lo",
            "no-resolv",
            "no-hosts",
            "no-poll",
            f"domain={self.dns_domain}",
            f"local=/{self.dns_domain}/",
            f"host-record=gateway.{self.dns_domain},{gateway}",
            "expand-hosts",
            "dhcp-authoritative",
            f"dhcp-range={network.network_address},static,{network.netmask},{LEASE_S}",
            f"dhcp-option=option:router,{gateway}",
            f"dhcp-option=option:dns-server,{gateway}",
            f"dhcp-hostsdir={home}/hosts",
            f"dhcp-leasefile={home}/leases",
            f"pid-file={home}/pid",
            f"log-facility={home}/log",
        )
        written = "\n".join((f"cat > {home}/conf <<'END'", *lines, "END"))
        return f"mkdir -p {home}/hosts\n{written}\n{self._run(vni, space)}"

    def _run(self, vni: int, space: str) -> str:
        return f"{space}dnsmasq --conf-file={self.folder}/{vni}/conf"

    def stop(self, vni: int) -> str:
        """End it, and wait until it has, sockets and all: until it is gone or waits for burial."""
        home = f"{self.folder}/{vni}"
        return (
            f"if {self.is_running(vni)}; then was=$(cat {home}/pid); kill $was;"
            " while grep -q '^State:[^ZX]*$' /proc/$was/status 2>/dev/null; do sleep 0.01; done;"
            f" fi; rm -f {home}/pid"
        )

    def forget(self, vni: int) -> str:
        """Leave no file of it but reservations of ports that are still there."""
        home = f"{self.folder}/{vni}"
        return (
            f"rm -f {home}/conf {home}/log {home}/leases;"
            f" rmdir {home}/hosts {home} 2>/dev/null || true"
        )

    def reserve(self, vni: int, access_port: str, lease: tuple[str, str]) -> str:
        """Give a MAC its address, also while the server runs."""
        home = f"{self.folder}/{vni}"
        return (
            f"mkdir -p {home}/hosts; echo {','.join(lease)} > {home}/hosts/{access_port};"
            f" if {self.is_running(vni)}; then kill -HUP $(cat {home}/pid); fi"
        )

    def unreserve(self, vni: int, access_port: str, space: str) -> str:
        """Take an address back with the name that went with it.

        The server forgets a lease only by being started again without it.
        """
        home = f"{self.folder}/{vni}"
        file = f"{home}/hosts/{access_port}"
        return (
            f"if [ -e {file} ]; then mac=$(cut -d, -f1 {file}); rm {file};"
            f" if {self.is_running(vni)}; then {self.stop(vni)};"
            f' sed -i "/ $mac /d" {home}/leases; {self._run(vni, space)};'
            f" else rmdir {home}/hosts {home} 2>/dev/null || true; fi; fi"
        )
