"""Slurm's own controller beside the placer, when Debian's tools are here.

Goal: the comparison runs from start to end, cleans up, and ours is the optimum in every case.
Method: one seed of the benchmark as a program of its own; its exit status says whether ours was.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "slurm_peer.py"


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    shutil.which("slurmctld") is None,
    reason="apt-get install --no-install-recommends slurmctld slurm-client",
)
def test_ours_is_the_optimum_beside_slurm(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--seeds", "1"],
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "slurm-wlm" in done.stdout
    assert not list(tmp_path.iterdir())
