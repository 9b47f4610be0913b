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

OF_MACHINES = {
    ("fabric", "P_Key"),
    *(("in_band", what) for what in ("interface", "switch port", "namespace", "DHCP server")),
    *(("in_band", what) for what in ("element of known", "element of held", "file of a gateway")),
    *(("out_of_band", what) for what in ("element of allow", "element of back")),
    ("out_of_band", "address of a proxy"),
    *(("storage", what) for what in ("subvolume", "quota group", "file or folder", "mount")),
    *(("storage", what) for what in ("export", "export server")),
    *(("host", what) for what in ("process", "address", "file on the disk")),
}
OF_GUESTS = {
    *(("host", what) for what in ("guest", "process of a guest", "tap", "file of a guest")),
    *(("host", what) for what in ("share of a guest", "server of a share")),
}


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
    (one, at_one), *_, (other, at_other) = hosts_of(a)
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


def judge_gateway(lab: WholeLab, tenant: Tenant, a: Carved, b: Carved) -> None:
    """Nobody gets out or comes in until it is said, and then only where it was said."""
    ours, theirs = hosts_of(a)[0][0], hosts_of(b)[0][0]
    key, address = tenant.key_path, a.addresses[0]
    assert not lab.does(*lab.pings(ours, OUTSIDE))
    assert "timed out" in lab.ssh("outside", key, address, "true").stderr
    rule = doc.FirewallRule(protocol="tcp", port_range=(22, 22), source_network=f"{OUTSIDE}/32")
    ruleset = tenant.client.create_firewall_ruleset(
        doc.CreateFirewallRuleset(
            project_id=tenant.project_id, name="ssh", site_id="lab", rules=[rule]
        )
    )
    changed = tenant.client.configure_cluster(
        a.document.id, egress_cidrs=[f"{OUTSIDE}/32"], firewall_ruleset_ids=[ruleset.id]
    )
    lab.ended(tenant, changed.operation_id)
    assert lab.does(*lab.pings(ours, OUTSIDE))
    assert lab.ssh("outside", key, address, "hostname").stdout.strip() == a.hostnames[0]
    assert not lab.does(*lab.pings("outside", address)), "the rule lets in SSH only"
    assert not lab.does(*lab.pings(theirs, OUTSIDE))
    assert "timed out" in lab.ssh("outside", key, b.addresses[0], "true").stderr


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


def judge_audit_sees(lab: WholeLab, wanted: set[tuple[str, str]]) -> None:
    """The audit finds every kind of thing that live clusters have, so that empty says something."""
    found = {(one["plane"], one["what"].split(" 0x")[0].split(" gw")[0]) for one in lab.audit()}
    found = {(plane, what.split(" in br")[0]) for plane, what in found}
    assert wanted <= found, found


def judge_nothing_is_left(lab: WholeLab) -> None:
    """Nothing of any tenant is anywhere, and every node passed its cleaning and is free."""
    assert json.loads(lab.gw("lab", "audit", lab.name, "--json", "--expect-empty")) == []
    for node in lab.operator.list_nodes().items:
        assert node.state == "available", node
    for row in (1, 2, 3, 4):
        receipts = lab.operator.list_node_receipts(lab.node_ids[row]).items
        assert receipts
        assert receipts[0].is_passed


def test_two_tenants_share_a_lab_and_nothing_passes_between_them(lab, tenants, pair):
    a, b = pair
    settled(lab, a, b)
    judge_audit_sees(lab, OF_MACHINES)
    judge_fabric(lab, a, b, subnets=(0, 7))
    judge_ping(lab, a, b)
    judge_intruder(lab, a, b)
    judge_login(lab, tenants, a, b)
    judge_bmcs(lab, a, b)
    judge_quota(lab, tenants, a, b)
    judge_gateway(lab, tenants[0], a, b)
    with ThreadPoolExecutor() as workers:
        list(workers.map(lab.release, tenants, pair))
    judge_nothing_is_left(lab)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_the_exhaustive_matrix_also_with_guests(lab, tenants, pair):
    a, b = pair
    with ThreadPoolExecutor() as workers:
        asked = [
            workers.submit(lab.carve, tenant, "slice", 2, (0,), storage_bytes=16 * MIB)
            for tenant in tenants
        ]
    slices = [one.result() for one in asked]
    settled(lab, a, b)
    judge_audit_sees(lab, OF_MACHINES | OF_GUESTS)
    judge_fabric(lab, a, b)
    judge_tables(lab, a, b)
    judge_ping(lab, a, b)
    judge_accounts(lab, a, b)
    judge_guests(lab, tenants, slices, a)
    judge_guests_files(lab, tenants, slices)
    judge_planted_share(lab, tenants, slices)
    assert "Proven" in lab.gw("prove")
    assert "nothing to repair" in lab.gw("reconcile")
    for tenant, one in zip(tenants, slices, strict=True):
        lab.release(tenant, one)
    for tenant, one in zip(tenants, pair, strict=True):
        lab.release(tenant, one)
    judge_nothing_is_left(lab)


def judge_tables(lab: WholeLab, a: Carved, b: Carved) -> None:
    """P_Key tables of hosts and of their switch ports hold one's own partition and no other."""
    found = {
        (one["what"].split()[1], one["where"]) for one in lab.audit() if one["plane"] == "fabric"
    }
    for cluster in (a, b):
        key = f"{cluster.document.status.keys.p_key | 0x8000:#06x}"
        for row, rail in product(cluster.rows, SUBNETS):
            here = f"subnet{rail} {lab.node_ids[row]} hca{rail}"
            assert {text for text, where in found if where == here} == {key}


def judge_accounts(lab: WholeLab, a: Carved, b: Carved) -> None:
    """An account that is right at one BMC is nobody at another; a wrong password is nobody."""
    folder = lab.folder.path / "oob"
    passwords = json.loads((folder / "operator_passwords.json").read_text("utf-8"))

    def logs_in(row: int, password: str) -> bool:
        words = ["curl", "-fks", "--noproxy", "*", "--max-time", "10", "-o", "/dev/null"]
        words += ["-u", f"operator:{password}"]
        return lab.does(None, *words, f"https://100.64.0.{10 + row}/redfish/v1/Systems")

    for row, other in ((a.rows[0], b.rows[0]), (b.rows[1], a.rows[1])):
        own, foreign = (passwords[lab.node_ids[one]] for one in (row, other))
        assert logs_in(row, own)
        assert not logs_in(row, foreign)


def judge_guests(lab: WholeLab, tenants, slices: list[Carved], a: Carved) -> None:
    """Guests of two tenants on one hypervisor: each is its tenant's, reached by a rule only."""
    for tenant, foreigner, one in zip(tenants, reversed(tenants), slices, strict=True):
        (address,) = one.addresses
        assert "timed out" in lab.ssh("outside", tenant.key_path, address, "true").stderr
        rule = doc.FirewallRule(protocol="tcp", source_network=f"{OUTSIDE}/32")
        ruleset = tenant.client.create_firewall_ruleset(
            doc.CreateFirewallRuleset(
                project_id=tenant.project_id, name="guests", site_id="lab", rules=[rule]
            )
        )
        changed = tenant.client.configure_cluster(
            one.document.id, firewall_ruleset_ids=[ruleset.id]
        )
        lab.ended(tenant, changed.operation_id)
        said = lab.ssh("outside", tenant.key_path, address, "hostname")
        assert said.stdout.strip() == one.hostnames[0], said.stderr
        assert lab.ssh("outside", foreigner.key_path, address, "true").returncode == 255
        assert not lab.does(*lab.pings(hosts_of(a)[0][0], address))


def in_guest(lab: WholeLab, tenant: Tenant, one: Carved, command: str) -> str:
    """What a guest's root was told, in the folder of its file systems."""
    (address,) = one.addresses
    done = lab.ssh("outside", tenant.key_path, address, f"cd /mnt/ib0-fs && {command} 2>&1 || true")
    return done.stdout.strip()


def judge_guests_files(lab: WholeLab, tenants, slices: list[Carved]) -> None:
    """Each guest has its own cluster's files, up to the quota, and no others."""
    for tenant, one in zip(tenants, slices, strict=True):
        own = str(one.filesystem)
        assert in_guest(lab, tenant, one, "ls") == own
        fill = f"dd if=/dev/zero of={own}/fill bs=64k count=512 conv=fsync"
        assert "Disk quota exceeded" in in_guest(lab, tenant, one, fill)
        size = int(in_guest(lab, tenant, one, f"stat -c %s {own}/fill"))
        assert 0.9 * 16 * MIB <= size <= 16 * MIB
        in_guest(lab, tenant, one, f"rm {own}/fill && echo {tenant.name} > {own}/whose")
    for tenant, one in zip(tenants, slices, strict=True):
        assert in_guest(lab, tenant, one, f"cat {one.filesystem}/whose") == tenant.name


def judge_planted_share(lab: WholeLab, tenants, slices: list[Carved]) -> None:
    """A guest that somebody gave another cluster's files is found by the switch, and made anew."""
    strange = {("host", "share of another network")}
    name = next(
        one["where"].split()[0]
        for one in lab.audit()
        if one["what"] == "share of a guest" and one["where"].endswith(f"/{slices[0].vni}")
    )
    ours, theirs = (f"exports/{one.vni}" for one in slices)
    program = lab.folder.path / "guests" / name / "share-ib0-fs"
    program.write_text(program.read_text().replace(ours, theirs))
    moved = lab.run(None, "virsh", "dumpxml", "--inactive", name).stdout.replace(ours, theirs)
    assert lab.does(None, "virsh", "destroy", name)
    assert lab.run(None, "virsh", "define", "/dev/stdin", stdin=moved).returncode == 0
    assert lab.does(None, "virsh", "start", name)
    assert strange <= {(one["plane"], one["what"]) for one in lab.audit()}
    lab.gw("reconcile")
    assert not strange & {(one["plane"], one["what"]) for one in lab.audit()}
    tenant, one = tenants[0], slices[0]
    lab.until(lambda: in_guest(lab, tenant, one, "ls") == str(one.filesystem), "its own files")


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_clusters_grow_shrink_and_are_mended_and_share_files(lab, tenants):
    ann, _ = tenants
    shared = ann.client.create_file_system(
        doc.FileSystemRequest(project_id=ann.project_id, name="shared", quota_bytes=32 * MIB)
    )
    if shared.operation_id:
        lab.ended(ann, shared.operation_id)
    mounts = [doc.FileSystemMount(file_system_id=shared.id)]
    one = lab.carve(ann, "one", 16, (1, 2), file_system_mounts=mounts)
    two = lab.carve(ann, "two", 16, (3, 4), file_system_mounts=mounts)
    settled(lab, one, two)
    judge_ping(lab, one, two)

    def on(cluster: Carved, number: int, command: str) -> str:
        hosts = hosts_of(cluster)
        done = lab.ssh(hosts[number - 1][0], ann.key_path, hosts[number][1], command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    lab.until(
        lambda: (
            lab.ssh(hosts_of(one)[1][0], ann.key_path, one.addresses[0], "true").returncode == 0
        ),
        "ssh",
    )
    on(one, 0, "cd /mnt/ib0-fs/*/ && echo shared > greeting")
    assert on(two, 1, "cat /mnt/ib0-fs/*/greeting").strip() == "shared"

    grown = ann.client.grow_cluster(one.document.id, 8)
    one = lab.carved(ann, one.document.id, lab.ended(ann, grown.operation_id))
    assert len(one.rows) == 3
    settled(lab, one)
    judge_ping(lab, one, two)
    failed = one.rows[0]
    replaced = ann.client.replace_cluster_nodes(one.document.id, [lab.node_ids[failed]])
    one = lab.carved(ann, one.document.id, lab.ended(ann, replaced.operation_id))
    assert failed not in one.rows
    settled(lab, one)
    judge_ping(lab, one, two)
    shrunk = ann.client.shrink_cluster(one.document.id, 16)
    one = lab.carved(ann, one.document.id, lab.ended(ann, shrunk.operation_id))
    assert len(one.rows) == 1
    assert "Proven" in lab.gw("prove")
    for cluster in (one, two):
        lab.release(ann, cluster)
    gone = ann.client.delete_file_system(shared.id)
    if gone.operation_id:
        lab.ended(ann, gone.operation_id)
    assert lab.audit() == []
