"""Published measurements as rows: who measured what, on which system, in which unit."""

from dataclasses import dataclass
from functools import cache

from gigawatt.economics.models.tables import Row, parse_rows, shipped_rows
from gigawatt.errors import UnknownIdError
from gigawatt.fleet.catalogue import Accelerator, accelerator

SYSTEMS = (
    ("gb300", "GB300-NVL72"),
    ("blackwell ultra", "GB300-NVL72"),
    ("b300", "B300-HGX"),
    ("gb200", "GB200-NVL72"),
    ("b200", "B200-HGX"),
    ("gh200", "GH200-96GB"),
    ("h200", "H200-SXM-141GB"),
    ("h800", "H100-SXM5-80GB"),
    ("h100 pcie", "H100-PCIe-80GB"),
    ("h100-pcie", "H100-PCIe-80GB"),
    ("h100", "H100-SXM5-80GB"),
    ("a100-40", "A100-SXM4-40GB"),
    ("a100-sxm4-40", "A100-SXM4-40GB"),
    ("a100", "A100-SXM4-80GB"),
    ("v100", "V100-SXM2-32GB"),
    ("mi300x", "MI300X"),
    ("mi325x", "MI325X"),
    ("mi355x", "MI355X"),
    ("l40s", "L40S"),
    ("tpu v4", "TPU-v4"),
    ("tpu-v4", "TPU-v4"),
    ("tpu v5e", "TPU-v5e"),
    ("tpu v5p", "TPU-v5p"),
)
"""What other people's system names contain, and the accelerator of the catalogue; first wins. An
H800 is an H100 with slower NVLink."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One published number.

    Fields:
        row_number: line of its table.
        source, table, system, language_model_name, precision: as published.
        accelerator_count: None where not published.
        metric, value, unit, notes: as published; a share is in percent where the unit says so.
    """

    row_number: int
    source: str
    table: str
    system: str
    language_model_name: str
    precision: str
    accelerator_count: int | None
    metric: str
    value: float
    unit: str
    notes: str

    @property
    def chip(self) -> Accelerator:
        """The accelerator of the catalogue.

        Raises:
            UnknownIdError: the system names none that the catalogue has.
        """
        spelling = self.system.lower()
        for part, name in SYSTEMS:
            if part in spelling:
                return accelerator(name)
        raise UnknownIdError(f"system {self.system!r} names no accelerator of the catalogue")

    @property
    def system_label(self) -> str:
        """Name of the accelerator, for leaving one system out; the spelling if it is unknown."""
        try:
            name = self.chip.name
        except UnknownIdError:
            return self.system
        return "H800" if "h800" in self.system.lower() else name


def _measurement(row: Row, number: int) -> Measurement:
    count = row.text("num_accelerators")
    return Measurement(
        row_number=number,
        source=row.text("source"),
        table=row.text("table"),
        system=row.text("system"),
        language_model_name=row.text("model"),
        precision=row.text("precision"),
        accelerator_count=row.count("num_accelerators", 1) if count else None,
        metric=row.text("metric"),
        value=row.number("value"),
        unit=row.text("unit"),
        notes=row.text("notes"),
    )


def parse_measurements(text: str, table: str) -> tuple[Measurement, ...]:
    """Measurements of a CSV table, in order.

    Columns: source, table, system, model, precision, num_accelerators, metric, value, unit, notes.

    Raises:
        DataError: a column is missing or a cell is wrong; table, line and column are named.
    """
    rows = parse_rows(text, table)
    return tuple(_measurement(row, number) for number, row in enumerate(rows, 2))


@cache
def published_measurements() -> tuple[Measurement, ...]:
    """The shipped measurements, in order."""
    rows = shipped_rows("published.csv")
    return tuple(_measurement(row, number) for number, row in enumerate(rows, 2))
