"""The hook that saves Slurm's jobs on hosts that are asked back.

Goal: hosts are drained first; jobs are told, then put back into the queue; it says that all is
saved only when no job is there any more, and never when Slurm could not be asked.
Method: the script as a shell runs it, with programs of Slurm's names that keep a list of jobs.
"""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm" / "save-jobs.sh"

PROGRAMS = {
    "squeue": '[ -e "$state/broken" ] && exit 1\ncat "$state/jobs"',
    "scancel": (
        'for job; do :; done\n[ -e "$state/saves" ] && sed -i "/^$job$/d" "$state/jobs"\ntrue'
    ),
    "scontrol": (
        'if [ "$1" = requeue ]; then\n'
        '[ -e "$state/stays" ] && exit 1\n'
        'sed -i "/^$2$/d" "$state/jobs"\nfi'
    ),
    "sleep": "true",
}
"""What each does beside writing down how it was called."""


@pytest.fixture
def slurm(tmp_path: Path) -> Path:
    """A folder with programs of Slurm's names and two jobs."""
    for name, body in PROGRAMS.items():
        path = tmp_path / name
        path.write_text(
            f'#!/bin/sh\nstate={tmp_path}\necho "{name} $*" >> "$state/called"\n{body}\n'
        )
        path.chmod(0o755)
    (tmp_path / "jobs").write_text("7\n8\n")
    return tmp_path


def run(slurm: Path, **more: str) -> tuple[int, list[str]]:
    """Exit status, and how Slurm's programs were called, questions left out."""
    environment = {
        "PATH": f"{slurm}:{os.environ['PATH']}",
        "GW_NOTICE_HOSTS": "a-0000 a-0003",
        "GW_NOTICE_SECONDS": "120",
        "GW_NOTICE_ID": "ntc_1",
        **more,
    }
    ended = subprocess.run(["/bin/sh", SCRIPT], env=environment, check=False, timeout=60)
    called = (slurm / "called").read_text().splitlines() if (slurm / "called").exists() else []
    return ended.returncode, [c for c in called if c.split()[0] not in {"squeue", "sleep"}]


DRAIN = "scontrol update nodename=a-0000,a-0003 state=drain reason=asked back: ntc_1"


def test_jobs_that_save_by_themselves_are_not_put_back(slurm: Path):
    (slurm / "saves").touch()
    told = ["scancel --signal=USR1 --batch 7", "scancel --signal=USR1 --batch 8"]
    assert run(slurm) == (0, [DRAIN, *told])


def test_jobs_that_go_on_are_put_back_into_the_queue(slurm: Path):
    status, called = run(slurm, GW_SLURM_SIGNAL="TERM", GW_SLURM_GRACE_S="2")
    assert status == 0
    assert called[1:] == [
        "scancel --signal=TERM --batch 7",
        "scancel --signal=TERM --batch 8",
        "scontrol requeue 7",
        "scontrol requeue 8",
    ]


def test_no_job_is_saved_at_once(slurm: Path):
    (slurm / "jobs").write_text("")
    assert run(slurm) == (0, [DRAIN])


@pytest.mark.parametrize("trouble", ["stays", "broken"])
def test_it_never_says_saved_when_jobs_may_be_there(slurm: Path, trouble: str):
    (slurm / trouble).touch()
    status, _ = run(slurm, GW_SLURM_GRACE_S="1", GW_NOTICE_SECONDS="2")
    assert status != 0


def test_without_a_notice_it_does_nothing(slurm: Path):
    status, called = run(slurm, GW_NOTICE_HOSTS="")
    assert (status != 0, called) == (True, [])
