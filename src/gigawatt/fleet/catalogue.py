"""The catalogue: accelerators and node types as data, with a source and a confidence per row.

The tables are ``fleet/data/*.csv``: one value per column, the unit at the end of the column's
name. An empty cell is a value that its maker does not publish. ``confidence`` is "high" (maker's
own datasheet), "med", "low" (preliminary) or "unverified"; ``weak_columns`` names cells that
deserve less trust than their row; ``cross_check`` names the second source, or "none".

TPUs have no node type: their torus is not a fabric of leaf groups.
"""

import csv
import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import isfinite
from typing import Literal, get_args

from gigawatt.errors import DataError, UnknownIdError
from gigawatt.fleet.model import GPUS_PER_NODE_MAX, NodeType
from gigawatt.units import GIB

Confidence = Literal["high", "med", "low", "unverified"]

ARCHITECTURES = ("x86_64", "arm64", "any")
"""Architectures of host images."""

UNITS = (
    "_w",
    "_w_max",
    "_kw_per_accelerator",
    "_tflops",
    "_tops",
    "_gbyte",
    "_gib",
    "_gbyte_per_s",
)
"""Endings that say a unit; besides them a number may be a ``_count``, a ``_year`` or a price."""
_NUMBER_ENDINGS = (*UNITS, "_count", "_year", "_micro_usd_per_gpu_hour")

_ACCELERATOR_TEXT = ("name", "vendor", "kind", "cross_check", "note")
_NODE_TYPE_TEXT = ("name", "gpu_type", "accelerator")
_HOST_IMAGE_TEXT = ("name", "family", "version", "architecture", "description")
_COMMON = ("confidence", "weak_columns", "source")


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One accelerator; None where its maker publishes no value.

    Fields:
        name, vendor, kind: kind is "gpu" or "tpu".
        launch_year: of general availability.
        tdp_w: W, the chip or module alone.
        bf16_dense_tflops, fp8_dense_tflops, fp4_dense_tflops, int8_dense_tops: peak rates
            without sparsity, 10**12 operations per second.
        memory_gbyte, memory_gbyte_per_s: 10**9 bytes, 10**9 bytes per second.
        scaleup_both_ways_gbyte_per_s: scale-up links, both directions added up; 0 for none.
        scaleup_accelerator_count: accelerators in the largest scale-up domain.
        system_kw_per_accelerator: kW, the maker's whole system divided by its accelerators.
        confidence, weak_columns, cross_check, source, note: see the module docstring.
    """

    name: str
    vendor: str
    kind: str
    launch_year: int
    tdp_w: float | None
    bf16_dense_tflops: float | None
    fp8_dense_tflops: float | None
    fp4_dense_tflops: float | None
    int8_dense_tops: float | None
    memory_gbyte: float
    memory_gbyte_per_s: float
    scaleup_both_ways_gbyte_per_s: float
    scaleup_accelerator_count: int
    system_kw_per_accelerator: float | None
    confidence: Confidence
    weak_columns: tuple[str, ...]
    cross_check: str
    source: str
    note: str


@dataclass(frozen=True, slots=True)
class NodeTypeRow:
    """A node type with where its values come from.

    Fields:
        node_type: the values; its price is illustrative, an operator sets their own.
        accelerator: name of the accelerator in the catalogue.
        confidence, weak_columns, source: see the module docstring.
    """

    node_type: NodeType
    accelerator: str
    confidence: Confidence
    weak_columns: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class HostImage:
    """A host image that a request may name.

    Fields:
        host_image_id: what a request names; column ``name``.
        family: images of one family replace each other.
        version: of the operating system.
        architecture: "x86_64", "arm64", or "any" for one that is built for both.
        description, confidence, weak_columns, source: see the module docstring.
    """

    host_image_id: str
    family: str
    version: str
    architecture: str
    description: str
    confidence: Confidence
    weak_columns: tuple[str, ...]
    source: str


class _Row:
    """One row that names itself and its column in every complaint."""

    def __init__(self, table: str, line: int, cells: dict[str, str]) -> None:
        self.place = f"{table} line {line}, row {cells.get('name', '')!r}"
        self.cells = cells

    def wrong(self, column: str, sentence: str) -> DataError:
        return DataError(
            f"{self.place}, column {column!r}: {sentence}",
            next_step="Correct the cell; every value needs a unit, a source and a confidence.",
        )

    def text(self, column: str) -> str:
        value = self.cells[column].strip()
        if not value:
            raise self.wrong(column, "is empty, wanted text")
        return value

    def number_or_none(self, column: str) -> float | None:
        return self.number(column) if self.cells[column].strip() else None

    def number(self, column: str) -> float:
        value = self.cells[column].strip()
        try:
            number = float(value)
        except ValueError:
            raise self.wrong(column, f"is {value!r}, wanted a number") from None
        if not (isfinite(number) and number >= 0):
            raise self.wrong(column, f"is {value!r}, wanted a finite number >= 0")
        return number

    def positive(self, column: str) -> float:
        number = self.number(column)
        if number <= 0:
            raise self.wrong(column, "is 0, wanted > 0")
        return number

    def integer(self, column: str, low: int, high: int) -> int:
        number = self.number(column)
        if not number.is_integer() or not low <= number <= high:
            raise self.wrong(column, f"is {number:g}, wanted a whole number from {low} to {high}")
        return int(number)

    def confidence(self) -> Confidence:
        value = self.cells["confidence"].strip()
        for known in get_args(Confidence):
            if value == known:
                confidence: Confidence = known
                return confidence
        wanted = ", ".join(get_args(Confidence))
        raise self.wrong("confidence", f"is {value!r}, wanted one of {wanted}")

    def weak_columns(self) -> tuple[str, ...]:
        names = tuple(name for name in self.cells["weak_columns"].split(";") if name)
        for name in names:
            if name not in self.cells:
                raise self.wrong("weak_columns", f"names {name!r}, which is no column")
        return names


def _check_header(table: str, header: list[str], wanted: tuple[str, ...]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{table} line 1: column {twice[0]!r} is there twice")
    for name in wanted:
        if name not in header:
            bare = [other for other in header if other and name.startswith(f"{other}_")]
            hint = f"; column {bare[0]!r} has no unit" if bare else ""
            raise DataError(f"{table} line 1: column {name!r} is missing{hint}")
    text_columns = {*_ACCELERATOR_TEXT, *_NODE_TYPE_TEXT, *_HOST_IMAGE_TEXT, *_COMMON}
    for name in header:
        if name not in text_columns and not name.endswith(_NUMBER_ENDINGS):
            raise DataError(f"{table} line 1: column {name!r} has no unit at its end")
        if name not in wanted:
            raise DataError(f"{table} line 1: column {name!r} is not known")


def _rows(table: str, text: str, wanted: tuple[str, ...]) -> list[_Row]:
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: list[_Row] = []
    try:
        header = next(reader, [])
        _check_header(table, header, wanted)
        for cells in reader:
            if len(cells) != len(header):
                raise DataError(
                    f"{table} line {reader.line_num}: {len(cells)} cells, wanted {len(header)}"
                )
            rows.append(_Row(table, reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise DataError(f"{table} line {reader.line_num}: not CSV") from error
    names: set[str] = set()
    for row in rows:
        name = row.text("name")
        if name in names:
            raise row.wrong("name", f"{name!r} is there twice")
        names.add(name)
    return rows


def _accelerator(row: _Row) -> Accelerator:
    return Accelerator(
        name=row.text("name"),
        vendor=row.text("vendor"),
        kind=row.text("kind"),
        launch_year=row.integer("launch_year", 2000, 2100),
        tdp_w=row.number_or_none("tdp_w"),
        bf16_dense_tflops=row.number_or_none("bf16_dense_tflops"),
        fp8_dense_tflops=row.number_or_none("fp8_dense_tflops"),
        fp4_dense_tflops=row.number_or_none("fp4_dense_tflops"),
        int8_dense_tops=row.number_or_none("int8_dense_tops"),
        memory_gbyte=row.positive("memory_gbyte"),
        memory_gbyte_per_s=row.positive("memory_gbyte_per_s"),
        scaleup_both_ways_gbyte_per_s=row.number("scaleup_both_ways_gbyte_per_s"),
        scaleup_accelerator_count=row.integer("scaleup_accelerator_count", 1, 1 << 20),
        system_kw_per_accelerator=row.number_or_none("system_kw_per_accelerator"),
        confidence=row.confidence(),
        weak_columns=row.weak_columns(),
        cross_check=row.text("cross_check"),
        source=row.text("source"),
        note=row.cells["note"],
    )


def parse_accelerators(text: str, table: str = "accelerators.csv") -> tuple[Accelerator, ...]:
    """Accelerators of a CSV table, in order.

    Args:
        text: the table.
        table: what to call it in complaints.

    Raises:
        DataError: a column has no unit or is missing, or a cell is wrong; row and column are named.
    """
    wanted = tuple(Accelerator.__dataclass_fields__)
    return tuple(_accelerator(row) for row in _rows(table, text, wanted))


_NODE_TYPE_COLUMNS = (
    *_NODE_TYPE_TEXT,
    "gpu_count",
    "nic_count",
    "numa_count",
    "power_w_max",
    "memory_gib",
    "cpu_core_count",
    "dpu_count",
    "illustrative_price_micro_usd_per_gpu_hour",
    *_COMMON,
)


def _node_type_row(row: _Row) -> NodeTypeRow:
    return NodeTypeRow(
        node_type=NodeType(
            name=row.text("name"),
            gpu_type=row.text("gpu_type"),
            gpu_count=row.integer("gpu_count", 1, GPUS_PER_NODE_MAX),
            nic_count=row.integer("nic_count", 1, 64),
            numa_count=row.integer("numa_count", 1, 64),
            power_w_max=row.positive("power_w_max"),
            memory_bytes=row.integer("memory_gib", 1, 1 << 20) * GIB,
            cpu_core_count=row.integer("cpu_core_count", 1, 1 << 16),
            dpu_count=row.integer("dpu_count", 0, 64),
            price_micro_usd_per_gpu_hour=row.integer(
                "illustrative_price_micro_usd_per_gpu_hour", 0, 10**12
            ),
        ),
        accelerator=row.text("accelerator"),
        confidence=row.confidence(),
        weak_columns=row.weak_columns(),
        source=row.text("source"),
    )


def parse_node_types(text: str, table: str = "node_types.csv") -> tuple[NodeTypeRow, ...]:
    """Node types of a CSV table, in order.

    Args:
        text: the table.
        table: what to call it in complaints.

    Raises:
        DataError: a column has no unit or is missing, or a cell is wrong; row and column are named.
    """
    return tuple(_node_type_row(row) for row in _rows(table, text, _NODE_TYPE_COLUMNS))


def parse_host_images(text: str, table: str = "host_images.csv") -> tuple[HostImage, ...]:
    """Host images of a CSV table, in order.

    Args:
        text: the table.
        table: what to call it in complaints.

    Raises:
        DataError: a column is missing or a cell is wrong; row and column are named.
    """
    rows = _rows(table, text, (*_HOST_IMAGE_TEXT, *_COMMON))
    found = []
    for row in rows:
        if row.text("architecture") not in ARCHITECTURES:
            raise row.wrong("architecture", f"wanted one of {', '.join(ARCHITECTURES)}")
        found.append(
            HostImage(
                host_image_id=row.text("name"),
                family=row.text("family"),
                version=row.text("version"),
                architecture=row.text("architecture"),
                description=row.text("description"),
                confidence=row.confidence(),
                weak_columns=row.weak_columns(),
                source=row.text("source"),
            )
        )
    return tuple(found)


def _shipped(table: str) -> str:
    return files("gigawatt.fleet").joinpath("data", table).read_text(encoding="utf-8")


@cache
def accelerators() -> tuple[Accelerator, ...]:
    """Every accelerator of the catalogue, in the table's order."""
    return parse_accelerators(_shipped("accelerators.csv"))


@cache
def node_types() -> tuple[NodeTypeRow, ...]:
    """Every node type of the catalogue with its source, in the table's order."""
    return parse_node_types(_shipped("node_types.csv"))


@cache
def host_images() -> tuple[HostImage, ...]:
    """Every host image of the catalogue, in the table's order."""
    return parse_host_images(_shipped("host_images.csv"))


def accelerator(name: str) -> Accelerator:
    """The accelerator of this name, e.g. "H100-SXM5-80GB".

    Raises:
        UnknownIdError: the catalogue has none.
    """
    for row in accelerators():
        if row.name == name:
            return row
    known = ", ".join(row.name for row in accelerators())
    raise UnknownIdError(
        f"the catalogue has no accelerator {name!r}", next_step=f"Use one of {known}."
    )


def node_type(name: str) -> NodeType:
    """The node type of this name, e.g. "hgx-h100".

    Raises:
        UnknownIdError: the catalogue has none.
    """
    for row in node_types():
        if row.node_type.name == name:
            return row.node_type
    known = ", ".join(row.node_type.name for row in node_types())
    raise UnknownIdError(
        f"the catalogue has no node type {name!r}", next_step=f"Use one of {known}."
    )
