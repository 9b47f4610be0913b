"""Goal: two tenants share one lab with five real planes, and nothing passes between them.

Method: the operator makes two organisations by the API, each carves clusters by the API; then tools
that know nothing of us judge: saquery, smpquery, ping, arping, curl, dd, ssh, getent, nft. Every
"no" has a "yes" beside it that is asked in the same way. At the end ``gw lab audit``, which asks
those tools about everything, finds nothing, and all nodes can be given away again.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from whole_lab import Carved, Tenant, WholeLab, whole_lab

from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.layout import OUTSIDE, LabSpec
from gigawatt.sdk import documents as doc

pytestmark = pytest.mark.lab

MIB = 1 << 20
STORAGE_BYTES = 48 * MIB
SPEC = LabSpec(node_count=8, hypervisor_count=1)
FLEET = lab_fleet(SPEC)
SUBNETS = range(8)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[WholeLab]:
    with whole_lab(tmp_path_factory.mktemp("whole")) as running:
        yield running


@pytest.fixture(scope="module")
def tenants(lab) -> Iterator[tuple[Tenant, Tenant]]:
    ann, ben = lab.tenant("ann"), lab.tenant("ben")
    with ann.client, ben.client:
        yield ann, ben


@pytest.fixture
def pair(lab, tenants) -> Iterator[tuple[Carved, Carved]]:
    """A cluster of each tenant on two machines, made at the same time."""
    ann, ben = tenants
    with ThreadPoolExecutor() as workers:
        asked = [
            workers.submit(lab.carve, ann, "alpha", 16, (1, 2), storage_bytes=STORAGE_BYTES),
            workers.submit(lab.carve, ben, "beta", 16, (3, 4), storage_bytes=STORAGE_BYTES),
        ]
    yield asked[0].result(), asked[1].result()
    for tenant in tenants:
        for cluster in list(tenant.clusters.values()):
            lab.release(tenant, cluster)


def hosts_of(cluster: Carved) -> list[tuple[str, str]]:
    """Namespace and address of each machine of a cluster."""
    return [(f"node{row}", at) for row, at in zip(cluster.rows, cluster.addresses, strict=True)]


def guid(row: int, rail: int) -> int:
    return int(FLEET.nics.guid[int(FLEET.first_nic_of_node[row]) + rail])


def addresses(lab: WholeLab, where: str) -> str:
    return lab.run(where, "ip", "-4", "-o", "address", "show", "dev", "eth0").stdout


def settled(lab: WholeLab, *clusters: Carved) -> None:
    """Every machine has its own address, by DHCP."""
    for cluster in clusters:
        for where, address in hosts_of(cluster):
            lab.until(
                lambda w=where, a=address: f" {a}/" in addresses(lab, w), f"{where}: {address}"
            )


def judge_fabric(lab: WholeLab, a: Carved, b: Carved, subnets=SUBNETS) -> None:
    """A path inside, none across, for every pair of ports, by the subnet managers themselves."""

    def of_rail(rail: int) -> None:
        sides = [[guid(row, rail) for row in cluster.rows] for cluster in (a, b)]
        inside = [pair for side in sides for pair in product(side, side) if pair[0] != pair[1]]
        across = [*product(*sides), *product(*reversed(sides))]
        found = lab.paths(f"subnet{rail}", [*inside, *across])
        assert [pair for pair in inside if not found[pair]] == []
        assert [pair for pair in across if found[pair]] == []

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(of_rail, subnets))


def judge_ping(lab: WholeLab, a: Carved, b: Carved) -> None:
    """Ping and ARP pass inside and not across."""
    for inside in (a, b):
        for (here, _), (_, there) in product(hosts_of(inside), repeat=2):
            lab.until(lambda h=here, t=there: lab.does(*lab.pings(h, t)), f"{here} pings {there}")
    questions = {}
    for mine, theirs in ((a, b), (b, a)):
        for (here, _), (_, address) in product(hosts_of(mine), hosts_of(theirs)):
            questions["ping", here, address] = lab.pings(here, address)
            questions["arp", here, address] = lab.arpings(here, address)
    assert [name for name, is_heard in lab.together(questions).items() if is_heard] == []
    (one, at_one), (other, at_other) = hosts_of(a)
    assert lab.does(*lab.arpings(one, at_other))
    assert lab.does(*lab.arpings(other, at_one))


def judge_intruder(lab: WholeLab, a: Carved, b: Carved) -> None:
    """A machine of b that calls itself one of a's, by hand, hears nobody and is not heard."""
    (near, _), (_, victim) = hosts_of(a)
    intruder = hosts_of(b)[0][0]
    free = f"{victim.rpartition('.')[0]}.99"
    for taken in (free, victim):
        assert lab.does(intruder, "ip", "address", "add", f"{taken}/20", "dev", "eth0")
        asked = {
            "intruder hears": lab.arpings(intruder, hosts_of(a)[0][1]),
            "intruder pings": lab.pings(intruder, hosts_of(a)[0][1]),
            "intruder is heard": lab.arpings(near, free),
        }
        assert not any(lab.together(asked).values()), taken
        # The true one answers all the while.
        assert lab.does(*lab.arpings(near, victim))
        assert lab.does(intruder, "ip", "address", "del", f"{taken}/20", "dev", "eth0")


def judge_login(lab: WholeLab, tenants, a: Carved, b: Carved) -> None:
    """Each machine takes its tenant's key from a neighbour, and nobody else's; names resolve."""
    for tenant, foreigner, cluster in zip(tenants, reversed(tenants), (a, b), strict=True):
        for number, (_, address) in enumerate(hosts_of(cluster)):
            neighbour = hosts_of(cluster)[number - 1][0]
            lab.until(
                lambda n=neighbour, k=tenant.key_path, at=address: (
                    lab.ssh(n, k, at, "true").returncode == 0
                ),
                f"ssh to {address}",
            )
            said = lab.ssh(neighbour, tenant.key_path, address, "hostname").stdout.strip()
            assert said == cluster.hostnames[number]
            refused = lab.ssh(neighbour, foreigner.key_path, address, "hostname")
            assert refused.returncode == 255
            assert "Permission denied" in refused.stderr
    _, address = hosts_of(a)[0]
    neighbour, key = hosts_of(a)[1][0], tenants[0].key_path
    names = " ".join(f"{name}.cluster.internal" for name in a.hostnames)
    said = lab.ssh(neighbour, key, address, f"getent ahostsv4 {names.split()[1]}").stdout
    assert said.split()[:1] == [a.addresses[1]]
    foreign = f"getent ahostsv4 {b.hostnames[0]}.cluster.internal"
    assert lab.ssh(neighbour, key, address, foreign).stdout == ""


def judge_egress(lab: WholeLab, tenant: Tenant, a: Carved, b: Carved) -> None:
    """Nobody gets out until it is said, and then only who it was said of."""
    ours, theirs = hosts_of(a)[0][0], hosts_of(b)[0][0]
    assert not lab.does(*lab.pings(ours, OUTSIDE))
    changed = tenant.client.configure_cluster(a.document.id, egress_cidrs=[f"{OUTSIDE}/32"])
    lab.ended(tenant, changed.operation_id)
    assert lab.does(*lab.pings(ours, OUTSIDE))
    assert not lab.does(*lab.pings(theirs, OUTSIDE))


def judge_inbound(lab: WholeLab, tenant: Tenant, a: Carved, b: Carved) -> None:
    """Who is outside comes in by a rule, and only there."""
    key, (mine, theirs) = tenant.key_path, (a.addresses[0], b.addresses[0])
    assert lab.ssh("outside", key, mine, "true").returncode == 255
    rule = doc.FirewallRule(protocol="tcp", port_range=(22, 22), source_network=f"{OUTSIDE}/32")
    ruleset = tenant.client.create_firewall_ruleset(
        doc.CreateFirewallRuleset(
            project_id=tenant.project_id, name="ssh", site_id="lab", rules=[rule]
        )
    )
    changed = tenant.client.configure_cluster(a.document.id, firewall_ruleset_ids=[ruleset.id])
    lab.ended(tenant, changed.operation_id)
    assert lab.ssh("outside", key, mine, "true").returncode == 0
    assert "timed out" in lab.ssh("outside", key, theirs, "true").stderr


def proxies(lab: WholeLab) -> dict[str, set[str]]:
    """Addresses from which each BMC may be reached, as the out-of-band switch lists them."""
    listed = json.loads(lab.run("oob", "nft", "-j", "list", "ruleset").stdout)["nftables"]
    ways = [
        element["elem"]["val"]["concat"] if "elem" in element else element["concat"]
        for row in listed
        if row.get("set", {}).get("name") == "allow"
        for element in row["set"].get("elem", ())
    ]
    found: dict[str, set[str]] = {}
    for _, source, bmc in ways:
        found.setdefault(source, set()).add(bmc)
    return found


def judge_bmcs(lab: WholeLab, a: Carved, b: Carved) -> None:
    """A tenant's proxy reaches its own BMCs; nobody's reaches another's; the operator all."""
    bmc = {row: str(f"100.64.0.{10 + row}") for row in (*a.rows, *b.rows, 5)}
    found = proxies(lab)
    by_cluster = {
        name: next(s for s, reached in found.items() if bmc[cluster.rows[0]] in reached)
        for name, cluster in (("a", a), ("b", b))
    }
    asked = {}
    sources = {**by_cluster, "operator": "100.64.0.2"}
    for (name, source), (row, address) in product(sources.items(), bmc.items()):
        words = ["curl", "-ks", "--noproxy", "*", "--interface", source, "-o", "/dev/null"]
        asked[name, row] = (None, *words, "--max-time", "6", f"https://{address}/redfish/v1/")
    answers = lab.together(asked)
    rows = {"a": set(a.rows), "b": set(b.rows), "operator": set(bmc)}
    assert {one for one, is_in in answers.items() if is_in} == {
        (name, row) for name, own in rows.items() for row in own
    }


def judge_quota(lab: WholeLab, tenants, a: Carved, b: Carved) -> None:
    """A machine writes to the byte what was promised, and sees no other tenant's files."""
    ann, ben = tenants
    (near, _), (_, address) = hosts_of(a)
    own, foreign = f"/mnt/ib0-fs/{a.filesystem}", f"/mnt/ib0-fs/{b.filesystem}"
    fill = f"dd if=/dev/zero of={own}/fill bs=64k count=4096 conv=fsync"
    done = lab.ssh(near, ann.key_path, address, fill)
    assert done.returncode != 0
    assert "Disk quota exceeded" in done.stderr
    size = int(lab.ssh(near, ann.key_path, address, f"stat -c %s {own}/fill").stdout)
    assert 0.9 * STORAGE_BYTES <= size <= STORAGE_BYTES
    assert lab.ssh(near, ann.key_path, address, f"ls {foreign}").returncode != 0
    listed = lab.ssh(near, ann.key_path, address, "ls /mnt/ib0-fs").stdout.split()
    assert listed == [str(a.filesystem)]
    # The other tenant's quota is untouched, and what it has is not what the first has.
    (near, _), (_, address) = hosts_of(b)
    write = f"dd if=/dev/zero of={foreign}/own bs=1M count=8 conv=fsync && ls {foreign}"
    done = lab.ssh(near, ben.key_path, address, write)
    assert done.stdout.split() == ["own"], done.stderr


def judge_nothing_is_left(lab: WholeLab) -> None:
    """Nothing of any tenant is anywhere, and every node passed its cleaning and is free."""
    assert lab.audit() == []
    lab.gw("lab", "audit", lab.name, "--expect-empty")
    for node in lab.operator.list_nodes().items:
        assert node.state == "available", node
    for row in (1, 2, 3, 4):
        receipts = lab.operator.list_node_receipts(lab.node_ids[row]).items
        assert receipts
        assert receipts[0].is_passed


def test_two_tenants_share_a_lab_and_nothing_passes_between_them(lab, tenants, pair):
    a, b = pair
    settled(lab, a, b)
    assert {one["plane"] for one in lab.audit()} == {
        "fabric", "in_band", "out_of_band", "storage", "host",
    }  # fmt: skip
    lab.gw("lab", "audit", lab.name, "--expect-empty", status=4)
    judge_fabric(lab, a, b, subnets=(0, 7))
    judge_ping(lab, a, b)
    judge_intruder(lab, a, b)
    judge_login(lab, tenants, a, b)
    judge_bmcs(lab, a, b)
    judge_quota(lab, tenants, a, b)
    judge_egress(lab, tenants[0], a, b)
    judge_inbound(lab, tenants[0], a, b)
    with ThreadPoolExecutor() as workers:
        list(workers.map(lab.release, tenants, pair))
    judge_nothing_is_left(lab)
