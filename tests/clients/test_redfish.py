"""The lab's simulated BMCs before DMTF's own judges, as they are on PyPI.

Goal: what our driver is tested against speaks Redfish as DSP0266 has it, and not as we like it.
Method: the Redfish protocol validator and the Redfish use case checkers ask a simulated BMC over
TLS on loopback; they must find nothing to warn of. A BMC that accepts changes and does not make
them shows that they look.
"""

import csv
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gigawatt.ids import NodeId
from gigawatt.lab.redfish.faults import Faults
from simulated_bmcs import OPERATOR, PASSWORD, SimulatedBmcs

VENV = Path(__file__).parents[2] / ".venv-clients" / "redfish"
NODE = NodeId("n1")

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not VENV.with_suffix(".stamp").exists(),
        reason="DMTF's validators are not set up; run 'make clients'",
    ),
]


@pytest.fixture
def bmcs() -> Iterator[SimulatedBmcs]:
    opened = SimulatedBmcs([NODE])
    yield opened
    opened.close()


def judged(bmcs: SimulatedBmcs, folder: Path, program: str, *words: str) -> str:
    """What a validator prints; its reports are in ``folder``."""
    login = ["--user", OPERATOR, "--password", PASSWORD, "--rhost", bmcs.url(NODE)]
    command = [VENV / "bin" / program, *login, "--report-dir", folder, *words]
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(bmcs.folder / f"{NODE}.pem")}
    # Its exit status counts findings, which the callers read from the reports.
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    return done.stdout


def protocol_findings(bmcs: SimulatedBmcs, folder: Path) -> Counter[str]:
    """How often the protocol validator says PASS, WARN, FAIL and NOT_TESTED, and of what."""
    pem = bmcs.folder / f"{NODE}.pem"
    judged(bmcs, folder, "rf_protocol_validator", "--ca-bundle", str(pem), "--report-type", "tsv")
    (report,) = folder.glob("*.tsv")
    with report.open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    bad = {"FAIL", "WARN"}
    return Counter(
        f"{row[0]}: {cell}" if cell in bad else cell
        for row in rows
        for cell in row
        if cell in bad | {"PASS"}
    )


def use_case_findings(bmcs: SimulatedBmcs, folder: Path, *words: str) -> dict[str, int]:
    """How often the use case checkers say PASS, WARN, FAIL and NOT TESTED."""
    printed = judged(bmcs, folder, "rf_use_case_checkers", *words)
    rows = [line.strip("|").split("|") for line in printed.splitlines() if line.startswith("|")]
    names, counts = ([cell.strip() for cell in row] for row in rows)
    return dict(zip(names, map(int, counts), strict=True))


def test_the_protocol_validator_finds_nothing(bmcs: SimulatedBmcs, tmp_path: Path):
    found = protocol_findings(bmcs, tmp_path)
    assert set(found) == {"PASS"}, found
    assert found["PASS"] > 300


def test_the_use_case_checkers_find_nothing(bmcs: SimulatedBmcs, tmp_path: Path):
    found = use_case_findings(bmcs, tmp_path)
    assert (found["WARN"], found["FAIL"]) == (0, 0), found
    assert found["PASS"] > 25


def test_a_bmc_that_lies_is_found_out(bmcs: SimulatedBmcs, tmp_path: Path):
    bmcs.control.set_faults(NODE, Faults(lies=True))
    found = use_case_findings(bmcs, tmp_path, "--test-list", "AccountManagement")
    assert found["FAIL"] > 0
