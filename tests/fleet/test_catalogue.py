"""Goal: the catalogue is complete, sourced, and refuses a row that is not.

Method: read what is shipped; for each rule, break one cell or header of a good table and expect a
DataError that names the row and the column.
"""

import pytest

from gigawatt.errors import DataError, UnknownIdError
from gigawatt.fleet.catalogue import (
    accelerator,
    accelerators,
    host_images,
    node_type,
    node_types,
    parse_accelerators,
    parse_host_images,
    parse_node_types,
)

HEADER = (
    "name,gpu_type,accelerator,gpu_count,nic_count,numa_count,power_w_max,memory_gib,"
    "cpu_core_count,dpu_count,illustrative_price_micro_usd_per_gpu_hour,"
    "confidence,weak_columns,source"
)
ROW = "n1,x,X,8,8,2,10200,2048,112,2,2500000,high,dpu_count,a datasheet"
GOOD = f"{HEADER}\n{ROW}\n"

ACCELERATOR_HEADER = (
    "name,vendor,kind,launch_year,tdp_w,bf16_dense_tflops,fp8_dense_tflops,fp4_dense_tflops,"
    "int8_dense_tops,memory_gbyte,memory_gbyte_per_s,scaleup_both_ways_gbyte_per_s,"
    "scaleup_accelerator_count,system_kw_per_accelerator,confidence,weak_columns,cross_check,"
    "source,note"
)
ACCELERATOR_ROW = "A1,V,gpu,2024,700,900,,,,80,3000,900,8,1.2,med,,none,a datasheet,"
ACCELERATOR_GOOD = f"{ACCELERATOR_HEADER}\n{ACCELERATOR_ROW}\n"


WANTED = {
    "V100-SXM2-32GB",
    "A100-SXM4-40GB",
    "A100-SXM4-80GB",
    "H100-SXM5-80GB",
    "H100-PCIe-80GB",
    "H200-SXM-141GB",
    "GH200-96GB",
    "B200-HGX",
    "GB200-NVL72",
    "B300-HGX",
    "GB300-NVL72",
    "VR200-NVL72",
    "MI300X",
    "MI325X",
    "MI355X",
    "L40S",
    "TPU-v4",
    "TPU-v5e",
    "TPU-v5p",
    "TPU-v6e",
    "TPU-v7",
}


def test_the_accelerators_people_run_are_there():
    names = {row.name for row in accelerators()}
    assert names == WANTED


def test_every_row_has_a_source_and_preliminary_chips_are_not_trusted():
    assert all(row.source for row in accelerators())
    assert all(row.source for row in node_types())
    assert accelerator("VR200-NVL72").confidence == "low"
    assert accelerator("VR200-NVL72").cross_check == "none"


def test_a_cell_is_weak_only_if_it_is_there():
    for row in accelerators():
        assert all(getattr(row, name) is not None for name in row.weak_columns)


def test_every_node_type_names_its_accelerator():
    for row in node_types():
        assert accelerator(row.accelerator).kind == "gpu"


def test_a_node_draws_more_than_its_gpus():
    for row in node_types():
        tdp_w = accelerator(row.accelerator).tdp_w
        assert tdp_w is not None
        assert row.node_type.power_w_max > tdp_w * row.node_type.gpu_count


def test_dgx_h100_is_as_its_datasheet_says():
    h100 = node_type("hgx-h100")
    assert (h100.gpu_count, h100.nic_count, h100.power_w_max) == (8, 8, 10_200.0)


@pytest.mark.parametrize("look_up", [accelerator, node_type])
def test_an_unknown_name_is_answered_with_the_known_ones(look_up):
    with pytest.raises(UnknownIdError) as caught:
        look_up("z9")
    assert "'z9'" in str(caught.value)
    assert "h100" in caught.value.next_step.lower()


def test_the_good_tables_are_good():
    assert parse_node_types(GOOD)[0].weak_columns == ("dpu_count",)
    assert parse_accelerators(ACCELERATOR_GOOD)[0].fp8_dense_tflops is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("power_w_max", "power_max", ["power_w_max", "missing"]),
        ("power_w_max", "power", ["'power'", "no unit"]),
        ("source\n", "source,speed\n", ["'speed'", "no unit"]),
        ("source\n", "source,speed_w\n", ["'speed_w'", "not known"]),
        ("source\n", "source,source\n", ["'source'", "twice"]),
        ("weak_columns,source", "weak_columns", ["'source'", "missing"]),
        (",a datasheet", ",", ["'n1'", "'source'", "empty"]),
        (",high,", ",,", ["'n1'", "'confidence'", "wanted one of"]),
        (",high,", ",sure,", ["'n1'", "'confidence'", "'sure'"]),
        (",high,dpu_count", ",high,dpus", ["'n1'", "'weak_columns'", "'dpus'"]),
        (",10200,", ",ten,", ["'n1'", "'power_w_max'", "'ten'"]),
        (",10200,", ",,", ["'n1'", "'power_w_max'"]),
        (",10200,", ",0,", ["'n1'", "'power_w_max'", "> 0"]),
        (",10200,", ",inf,", ["'n1'", "'power_w_max'", "finite"]),
        (",10200,", ",-1,", ["'n1'", "'power_w_max'", ">= 0"]),
        ("X,8,", "X,17,", ["'n1'", "'gpu_count'", "1 to 16"]),
        ("X,8,", "X,7.5,", ["'n1'", "'gpu_count'", "whole"]),
        ("n1,", ",", ["'name'", "empty"]),
        (ROW, f"{ROW}\n{ROW}", ["'n1'", "'name'", "twice"]),
        (ROW, f"{ROW},9", ["line 2", "15 cells, wanted 14"]),
        (ROW, 'n1,"x', ["line 2"]),
    ],
)
def test_a_node_type_that_breaks_a_rule_is_refused(old, new, words):
    assert old in GOOD
    with pytest.raises(DataError) as caught:
        parse_node_types(GOOD.replace(old, new, 1))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("tdp_w", "tdp", ["'tdp_w'", "'tdp' has no unit"]),
        ("2024", "24", ["'A1'", "'launch_year'"]),
        (",80,", ",,", ["'A1'", "'memory_gbyte'"]),
        (",none,", ",,", ["'A1'", "'cross_check'"]),
        (",a datasheet", ",", ["'A1'", "'source'"]),
        (",med,", ",,", ["'A1'", "'confidence'"]),
    ],
)
def test_an_accelerator_that_breaks_a_rule_is_refused(old, new, words):
    assert old in ACCELERATOR_GOOD
    with pytest.raises(DataError) as caught:
        parse_accelerators(ACCELERATOR_GOOD.replace(old, new, 1))
    assert all(word in str(caught.value) for word in words), str(caught.value)


GOOD_IMAGES = (
    "name,family,version,architecture,description,confidence,weak_columns,source\n"
    "debian,linux,12,any,d,med,,https://www.debian.org\n"
)


def test_every_host_image_has_a_source_and_the_default_is_there():
    assert "debian-12-gpu" in {row.host_image_id for row in host_images()}
    assert all(row.source.count("https://") for row in host_images())
    assert parse_host_images(GOOD_IMAGES)[0].host_image_id == "debian"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("any", "sparc", "x86_64, arm64, any"),
        ("https://www.debian.org", "", "is empty"),
        ("med", "sure", "confidence"),
        ("version,", "", "'version' is missing"),
    ],
)
def test_a_host_image_that_breaks_a_rule_is_refused(old, new, words):
    with pytest.raises(DataError, match=words):
        parse_host_images(GOOD_IMAGES.replace(old, new, 1))


def test_the_price_column_says_that_it_is_illustrative():
    with pytest.raises(DataError, match="illustrative_price"):
        parse_node_types(GOOD.replace("illustrative_price", "price"))
