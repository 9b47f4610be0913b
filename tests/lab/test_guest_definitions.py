"""Goal: libvirt takes definitions of real GPU nodes, with every device that they hand over.

Method: the golden definitions are defined, with validation, by a real libvirtd in a room, and read
back from it; nothing is started, for there are no GPUs, no VFIO and no IOMMU here. A device that
libvirt does not know, and a definition that is not by its schema, must be refused.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from gigawatt.drivers.guests.domain_xml import QEMU
from running_guests import RunningGuests, running_guests

pytestmark = pytest.mark.lab

GOLDEN = Path(__file__).parents[1] / "drivers/guests/golden"
PASSED_ON = {
    "whole_node": 16,
    "half_node": 8,
    "half_node_with_shares": 8,
    "one_gpu_virtual_function": 3,
}
"""PCI functions of the host that each hands over: GPUs, NICs of the fabric, a virtual function."""

KIB = {"KiB": 1, "MiB": 1024}


@pytest.fixture(scope="module")
def guests(tmp_path_factory) -> Iterator[RunningGuests]:
    with running_guests(tmp_path_factory.mktemp("guests")) as running:
        yield running


def define(path: Path) -> subprocess.CompletedProcess[str]:
    words = ["virsh", "--quiet", "define", "--validate", str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def functions(root: Xml.Element) -> list[tuple[str | None, ...]]:
    """PCI addresses of the host that a definition hands over, sorted."""
    places = root.findall("devices/hostdev/source/address")
    places += root.findall("devices/interface[@type='hostdev']/source/address")
    numbers = ("domain", "bus", "slot", "function")
    return sorted(tuple(int(at.get(n, "0"), 16) for n in numbers) for at in places)


def parts(root: Xml.Element) -> dict[str, object]:
    """What has to come back as it was given."""
    return {
        "functions": functions(root),
        "cpus": sorted((pin.get("vcpu"), pin.get("cpuset")) for pin in root.iter("vcpupin")),
        "pages_kib": [
            int(page.get("size", "0")) * KIB[page.get("unit", "KiB")] for page in root.iter("page")
        ],
        "cells": [(cell.get("cpus")) for cell in root.iter("cell")],
        "iommu": [iommu.get("model") for iommu in root.iter("iommu")],
        "arguments": [arg.get("value") for arg in root.iter(f"{QEMU}arg")],
        "shares": sorted(
            (one.find("source").get("dir"), one.find("binary").get("path"))
            for one in root.findall("devices/filesystem")
        ),
        "tpm": [tpm.get("model") for tpm in root.iter("tpm")],
    }


def golden(name: str) -> str:
    """A definition; without its TPM where this machine lacks what makes one."""
    text = (GOLDEN / f"{name}.xml").read_text()
    if shutil.which("swtpm_setup") is None:
        text = re.sub("<tpm .*?</tpm>", "", text, flags=re.DOTALL)
    return text


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.xml")))
def test_libvirt_takes_a_definition_whole(guests, name, tmp_path):
    path = tmp_path / f"{name}.xml"
    path.write_text(golden(name))
    given = Xml.fromstring(golden(name))  # noqa: S314 - our own
    said = define(path)
    assert said.returncode == 0, said.stderr
    domain = given.findtext("name")
    try:
        dumped = guests.virsh("dumpxml", "--inactive", str(domain))
        kept = Xml.fromstring(dumped)  # noqa: S314 - libvirt's
    finally:
        guests.virsh("undefine", "--nvram", "--tpm", str(domain))
    assert parts(kept) == parts(given)
    assert len(functions(kept)) == PASSED_ON.get(name, 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<hostdev ", "<hostdev iommufd='yes' "),
        ("<iommu ", "<iommu kind='none' "),
        ("type='pci'", "type='pcix'"),
    ],
)
def test_what_libvirt_does_not_know_is_refused(guests, tmp_path, old, new):
    text = golden("whole_node")
    if old not in text:
        old, new = old.replace("'", '"'), new.replace("'", '"')
    assert old in text
    path = tmp_path / "wrong.xml"
    path.write_text(text.replace(old, new, 1))
    assert define(path).returncode != 0
    assert guests.virsh("list", "--all", "--name").split() == []
