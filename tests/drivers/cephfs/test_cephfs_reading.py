"""Goal: what Ceph says in JSON is read right, and names of keys and namespaces never meet.

Method: documents as Ceph 16.2 printed them; properties of the names.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.drivers.cephfs.reading import (
    Subvolume,
    capabilities_for,
    documents,
    entities_at_work,
    entity_of,
    export_of_entity,
    mark_of,
    name_in,
    read_capabilities,
    read_mark,
    read_subvolume,
    subvolume_name,
)
from gigawatt.ids import ClusterId

INFO = {
    "bytes_quota": 104857600,
    "bytes_used": 4096,
    "data_pool": "data",
    "path": "/volumes/fs0/fs0-7/b6687669-c181-4bd7-ad67-d469981d3d94",
    "pool_namespace": "fsvolumens_fs0-7",
}
POOLS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,12}", fullmatch=True)
NUMBERS = st.integers(0, 2**24 - 1)


def test_a_subvolume_is_read_with_its_limit_or_none():
    there = read_subvolume(INFO)
    assert there == Subvolume(INFO["path"], "data", "fsvolumens_fs0-7", 104857600, 4096)
    assert name_in(there) == "fs0-7"
    assert read_subvolume({**INFO, "bytes_quota": "infinite"}).quota_bytes == 0
    with pytest.raises(KeyError):
        read_subvolume({"path": "/"})


def test_a_key_may_do_one_thing_in_one_place():
    assert capabilities_for(read_subvolume(INFO)) == {
        "mds": f"allow rw path={INFO['path']}",
        "mon": "allow r",
        "osd": "allow rw pool=data namespace=fsvolumens_fs0-7",
    }


@given(POOLS, NUMBERS, NUMBERS, POOLS)
def test_an_export_is_found_by_its_key_in_its_pool_only(pool, number, vni, other):
    entity = entity_of(pool, number, vni)
    assert export_of_entity(pool, entity) == (number, vni)
    if other != pool:
        assert export_of_entity(other, entity) is None
        assert subvolume_name(other, number) != subvolume_name(pool, number)
    assert export_of_entity(pool, "admin") is None


@given(NUMBERS, st.from_regex(r"/[a-z0-9/_:.-]{1,30}", fullmatch=True))
def test_every_mark_is_read_back(number, path):
    assert read_mark(mark_of(number, ClusterId("clu_a"), path)) == (number, "clu_a", path)
    assert read_mark("7:clu_a") is None


def test_answers_to_many_questions_are_told_apart():
    assert documents('\n{"a": 1}\n[]\n\n{"b": {}}\n') == ({"a": 1}, [], {"b": {}})
    assert documents("") == ()
    with pytest.raises(ValueError, match="Expecting"):
        documents("Error ENOENT")


def test_clients_are_read_from_keys_and_from_sessions():
    keys = {
        "auth_dump": [
            {"entity": "mds.a", "key": "x", "caps": {"mds": "allow *"}},
            {"entity": "client.gw-900-7-fs0", "key": "x", "caps": {"mon": "allow r"}},
        ]
    }
    assert read_capabilities(keys) == {"gw-900-7-fs0": {"mon": "allow r"}}
    sessions = [[{"client_metadata": {"entity_id": "gw-900-7-fs0"}}, {"id": 1}]]
    assert "gw-900-7-fs0" in entities_at_work(sessions)
