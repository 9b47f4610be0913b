"""Goal: doors for objects of different file systems never meet, and settings say where they are.

Method: properties of the names of Ceph's tenants; settings that are refused.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gigawatt.drivers.cephfs.objects import tenant_of
from gigawatt.drivers.cephfs.settings import CephfsSettings

POOLS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
DOORS = st.tuples(POOLS, st.integers(0, 2**48 - 1))
SETTINGS = {"driver": "cephfs", "pool_ids": ["fs0"], "filesystem": "gigawatt"}


@given(DOORS, DOORS)
def test_each_file_system_has_a_tenant_of_its_own_that_ceph_takes(one, other):
    names = [tenant_of(*door) for door in (one, other)]
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in names)
    assert (names[0] == names[1]) is (one == other)


@pytest.mark.parametrize("url", ["http://10.0.0.1:7480", "https://s3.example.com/"])
def test_a_gateway_is_named_by_its_url(url):
    assert CephfsSettings.model_validate({**SETTINGS, "s3_endpoint": url}).s3_endpoint == url


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("s3_endpoint", "10.0.0.1:7480"),
        ("s3_endpoint", "http://host/path"),
        ("s3_endpoint", "http://a b"),
        ("mount_root", "srv"),
        ("mount_root", "/srv/../etc"),
        ("mount_root", "/srv/a b"),
    ],
)
def test_what_is_no_url_or_folder_is_refused(field, wrong):
    with pytest.raises(ValidationError):
        CephfsSettings.model_validate({**SETTINGS, field: wrong})
