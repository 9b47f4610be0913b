"""Goal: what btrfs and the mount table say is read right, and what a tenant wrote never counts.

Method: texts as the tools of Linux 6.18 and btrfs-progs 6.2 printed them, and such with a line
that somebody would like to slip in.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gigawatt.drivers.btrfs.reading import (
    Limit,
    mark_of,
    read_limits,
    read_marks,
)
from gigawatt.drivers.btrfs.settings import BtrfsSettings
from gigawatt.drivers.storage.exports import (
    attach_commands,
    detach_commands,
    export_path,
    exports_folder,
    hide_commands,
    network_folder,
)
from gigawatt.drivers.storage.mounts import exports_in, read_mounts
from gigawatt.ids import ClusterId

QGROUPS = """\
Qgroupid    Referenced    Exclusive  Max referenced  Max exclusive Parent   Child         Path
--------    ----------    ---------  --------------  ------------- ------   -----         ----
0/5              16384        16384            none           none -        -             <toplevel>
0/256         20987904        16384            none           none 1/7      -             tree/a
0/257         20987904        16384            none           none 1/7      -             snap/7-one
1/7           21004288     21004288        52428800           none -        0/256,0/257   <0 member>
1/8                  0            0        52428800           none -        -             <0 member>
1/9               4096         4096            none           none -        0/258         <0 member>
"""

FOLDER = Path("/lab/storage/fs0")
MOUNTS = f"""\
75 48 0:45 / {FOLDER}/disk rw,nosuid,nodev,noatime - btrfs /dev/loop0 rw,subvolid=5,subvol=/
74 48 0:48 / {FOLDER}/exports rw,relatime shared:1 - tmpfs gigawatt-exports rw,size=4096k
106 74 0:49 / {FOLDER}/exports/900/7 rw,nosuid,nodev shared:2 - fuse {FOLDER}/disk/tree/a/files rw
107 74 0:50 / {FOLDER}/exports/900/x\\040y rw - fuse /elsewhere rw
108 74 0:51 / {FOLDER}/exports/900/7/deeper rw - tmpfs x rw
"""


def test_a_limit_counts_only_with_files_under_it():
    assert read_limits(QGROUPS) == {
        7: Limit(52_428_800, 21_004_288),
        8: Limit(0, 0),
        9: Limit(0, 4_096),
    }


def test_marks_are_read_by_path_and_only_as_we_write_them():
    text = '# file: /p/a\ntrusted.gigawatt="7:clu_a"\n\n# file: /p/b\ntrusted.gigawatt="7;clu_a"\n'
    text += '\n# file: /p/c\nuser.other="8:clu_b"\n'
    assert read_marks(text) == {"/p/a": (7, ClusterId("clu_a"))}


@given(st.integers(0, 2**48 - 1), st.from_regex(r"[A-Za-z0-9_.-]{1,40}", fullmatch=True))
def test_every_mark_is_read_back(number, owner):
    text = f'# file: /p\ntrusted.gigawatt="{mark_of(number, ClusterId(owner))}"\n'
    assert read_marks(text) == {"/p": (number, owner)}


def test_an_export_is_a_mount_at_its_place_and_nothing_beside_or_inside():
    exports = exports_in(read_mounts(MOUNTS), exports_folder(FOLDER))
    assert {key: mount.source for key, mount in exports.items()} == {
        (7, 900): f"{FOLDER}/disk/tree/a/files"
    }
    assert read_mounts(MOUNTS)[3].path == f"{FOLDER}/exports/900/x y"


def test_a_host_attaches_the_folder_of_its_network_and_hides_the_rest():
    assert export_path(FOLDER, 900, 7) == network_folder(FOLDER, 900) / "7"
    words = attach_commands(FOLDER, 900, Path("/host/mnt"))
    assert ("mount", "--rbind", f"{FOLDER}/exports/900", "/host/mnt") in words
    assert ("mount", "--make-rslave", "/host/mnt") in words
    assert hide_commands(FOLDER)[-1][-1] == str(FOLDER)
    assert detach_commands(Path("/host/mnt"))[0][-1] == "/host/mnt"


@pytest.mark.parametrize("folder", ["relative", "/a b", "/a/../b", "/a:b", "/a,b", "/"])
def test_a_folder_that_a_mount_option_would_read_otherwise_is_refused(folder):
    given_ = {"driver": "btrfs", "storage_pools": [{"pool_id": "p", "folder": folder}]}
    with pytest.raises(ValidationError, match="plain names"):
        BtrfsSettings.model_validate(given_)


def test_settings_are_complete_and_nothing_else():
    settings = {"driver": "btrfs", "storage_pools": [{"pool_id": "p", "folder": "/srv/p"}]}
    assert BtrfsSettings.model_validate(settings).storage_pools[0].is_thin is False
    for more in ({"storage_pools": []}, {"colour": "red"}, {"command_s_max": 0}):
        with pytest.raises(ValidationError):
            BtrfsSettings.model_validate({**settings, **more})
