"""What the Lambda-compatible door offers: types, regions, images, addresses, and its settings.

Goal: tools read GPU, count, memory and price of every type right, and see where one is free now.
Method: the rules by which tools read names and descriptions are written down here from their own
source and applied to every node type that the catalogue knows.
"""

import re
import time
from fractions import Fraction
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from gigawatt.api.lambda_cloud.documents import ImageById
from gigawatt.api.lambda_cloud.images import chosen_image
from gigawatt.api.lambda_cloud.offers import (
    free_masks,
    instance_type,
    offers_of,
    sites_with_room,
)
from gigawatt.app.lambda_settings import PUBLIC_VARIABLE, REGIONS_VARIABLE, LambdaSettings
from gigawatt.errors import InputError
from gigawatt.fleet.catalogue import accelerator, host_images, node_types
from gigawatt.fleet.demo import hgx_fleet, mixed_fleet
from gigawatt.fleet.slices import aligned_masks, slice_sizes
from gigawatt.ids import NodeId
from gigawatt.interfaces.instances import Taken

OWNER = "acme.owner"
GPUHUNT = re.compile(r"^(\d)x (?:Tesla )?(.+) \((\d+) GB")
"""How gpuhunt 0.1.34 reads a description: count, name, memory."""
SKYPILOT_GPUS = {"A100", "A100-80GB", "A10", "V100", "H100", "GH200", "B200"}
"""GPUs that SkyPilot 0.14.1 knows at Lambda, of those that we may have."""


def skypilot_gpu(name: str) -> str:
    """How SkyPilot 0.14.1 reads the name of a type."""
    return "A100-80GB" if name == "gpu_8x_a100_80gb_sxm4" else name.split("_")[2].upper()


@pytest.mark.parametrize("row", node_types(), ids=lambda row: row.node_type.name)
def test_tools_read_every_type_of_the_catalogue(row: Any):
    kind = row.node_type
    for size in slice_sizes(kind.gpu_count):
        shown = instance_type([kind], size)
        match = GPUHUNT.match(shown.description)
        assert match is not None, shown.description
        memory_gbyte = round(accelerator(row.accelerator).memory_gbyte)
        assert (int(match[1]), int(match[3])) == (size, memory_gbyte)
        gpu = skypilot_gpu(shown.name)
        assert gpu.removesuffix("-80GB") == match[2].upper()
        assert re.fullmatch(rf"gpu_{size}x_[a-z0-9_]+", shown.name)
        assert shown.description == f"{size}x {shown.gpu_description}"


def test_tools_know_the_gpus_that_they_know():
    names = {
        instance_type([row.node_type], row.node_type.gpu_count).name
        for row in node_types()
        if row.node_type.gpu_type in {"v100", "a100-40", "a100", "h100", "gh200", "b200"}
    }
    assert {skypilot_gpu(name) for name in names} <= SKYPILOT_GPUS
    assert "gpu_8x_h100_sxm5" in names
    assert "gpu_8x_a100_80gb_sxm4" in names


def test_a_price_is_that_of_a_plan_rounded_up_to_the_cent():
    fleet = mixed_fleet()
    for offer in offers_of(fleet).values():
        kinds = [fleet.node_types[row] for row in offer.masks]
        dearest = max(Fraction(kind.price_micro_usd_per_gpu_hour, 10_000) for kind in kinds)
        exact = dearest * offer.gpu_count
        assert exact <= offer.shown.price_cents_per_hour < exact + 1


def test_what_is_free_is_an_aligned_slice_of_one_node():
    fleet = hgx_fleet(16)
    first, second = (NodeId(name) for name in fleet.nodes.ids)
    offers = {offer.gpu_count: offer for offer in offers_of(fleet).values()}

    def sizes_with_room(masks: dict[NodeId, int], blocked: set[NodeId]) -> set[int]:
        free = free_masks(fleet, Taken(masks, frozenset(blocked)))
        return {n for n, offer in offers.items() if sites_with_room(fleet, offer, free)}

    assert sizes_with_room({}, set()) == {1, 2, 4, 8}
    assert sizes_with_room({first: 1}, {second}) == {1, 2, 4}
    # Six are free, but no four of them stand together.
    assert sizes_with_room({first: 0b0100_0001}, {second}) == {1, 2}
    assert sizes_with_room({first: 0xFF, second: 0xFE}, set()) == {1}
    assert sizes_with_room({first: 0xFF}, {second}) == set()
    for mask in range(256):
        wanted = {n for n in (1, 2, 4, 8) if any(not m & mask for m in aligned_masks(8, n))}
        assert sizes_with_room({first: mask}, {second}) == wanted


def test_types_and_regions_are_those_of_the_fleet(quiet_world: Any):
    types = quiet_world.data("acme.read_only", "GET", "/instance-types")
    assert list(types) == [f"gpu_{n}x_h100_sxm5" for n in (1, 2, 4, 8)]
    regions = quiet_world.data("acme.billing", "GET", "/regions")
    assert regions == [{"name": "site-a", "description": "site-a, US"}]
    for name, found in types.items():
        assert found["instance_type"]["name"] == name
        assert found["regions_with_capacity_available"] == regions
    whole = types["gpu_8x_h100_sxm5"]["instance_type"]
    assert whole["description"] == "8x H100 (80 GB SXM5)"
    assert whole["price_cents_per_hour"] == 2_000
    assert whole["specs"] == {"vcpus": 112, "memory_gib": 2_048, "storage_gib": 28_610, "gpus": 8}


def test_prices_are_those_of_the_rate_card_and_of_the_callers_organisation(
    tmp_path: Path, new_world_of: Any
):
    with new_world_of(tmp_path / "home", with_worker=False) as world:
        acme = world.ids["acme"]["organisation"]
        rows: list[dict[str, Any]] = [
            {"gpu_type": "h100", "price_micro_usd_per_gpu_hour": 3_000_000},
            {
                "gpu_type": "h100",
                "price_micro_usd_per_gpu_hour": 1_001_000,
                "organisation_id": acme,
            },
        ]
        world.ok("operator", "POST", "/rates", {"rates": rows})
        for who, cents in (("acme.owner", 801), ("other.owner", 2_400)):
            types = world.data(who, "GET", "/instance-types")
            assert types["gpu_8x_h100_sxm5"]["instance_type"]["price_cents_per_hour"] == cents


def test_images_are_in_every_region(tmp_path: Path, new_world_of: Any):
    fleet = mixed_fleet()
    with new_world_of(tmp_path / "home", with_worker=False, fleet=fleet) as world:
        images = world.data(OWNER, "GET", "/images")
        native = {row.host_image_id for row in host_images()}
        for region, architecture in (("site-a", "x86_64"), ("site-b", "arm64")):
            here = [found for found in images if found["region"]["name"] == region]
            assert {found["name"] for found in here} == native
            assert {found["architecture"] for found in here} == {architecture}
        assert len({found["id"] for found in images}) == len(images)
        newest = chosen_image(world.service, "site-a", ImageById(family="ubuntu-gpu"))
        assert newest == "ubuntu-24-04-gpu"


def test_sites_get_the_names_that_the_operator_gives(
    tmp_path: Path, new_world_of: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(REGIONS_VARIABLE, "site-a=us-west-1")
    monkeypatch.setenv(PUBLIC_VARIABLE, "site-a=198.51.96.0/20")
    with new_world_of(tmp_path / "home", 64) as world:
        key = {"name": "k", "public_key": "ssh-ed25519 AAAA"}
        world.data(OWNER, "POST", "/ssh-keys", key)
        wish = {"instance_type_name": "gpu_1x_h100_sxm5", "ssh_key_names": ["k"]}
        for _ in range(2):
            body = {**wish, "region_name": "us-west-1"}
            world.data(OWNER, "POST", "/instance-operations/launch", body)
        answer = world.ask(
            OWNER, "POST", "/instance-operations/launch", {**wish, "region_name": "site-a"}
        )
        assert answer.status_code == 404
        deadline_s = time.monotonic() + 30.0
        found: list[Any] = []
        while time.monotonic() < deadline_s and not all("ip" in one for one in found or [{}]):
            found = world.data(OWNER, "GET", "/instances")
        assert len({one["ip"] for one in found}) == 2
        for one in found:
            assert ip_address(one["ip"]) in ip_network("198.51.96.0/20")
            assert ip_address(one["private_ip"]) in ip_network("10.0.0.0/8")
            assert one["region"]["name"] == "us-west-1"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (REGIONS_VARIABLE, "site-z=us-west-1"),
        (REGIONS_VARIABLE, "site-a"),
        (REGIONS_VARIABLE, "site-a="),
        (REGIONS_VARIABLE, "site-a=x,site-a=y"),
        (REGIONS_VARIABLE, "site-a=same,site-b=same"),
        (REGIONS_VARIABLE, "site-a=site-b"),
        (PUBLIC_VARIABLE, "site-a=198.51.100.0/24"),
        (PUBLIC_VARIABLE, "site-a=somewhere"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
):
    monkeypatch.setenv(variable, text)
    with pytest.raises(InputError):
        LambdaSettings.from_environment(mixed_fleet())
