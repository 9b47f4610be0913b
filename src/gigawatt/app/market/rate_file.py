"""A rate card as a file: CSV with a heading, or YAML with a list ``rates`` of the same fields.

Prices are dollars as people write them, e.g. 2.49, and become whole micro-dollars; dates are days
or moments of ISO 8601, in UTC where they name no other zone.
"""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from gigawatt.errors import InputError
from gigawatt.fleet.yaml_tree import read_yaml
from gigawatt.intent.amounts import micro_usd_of
from gigawatt.sdk import documents as doc

FIELDS: Mapping[str, str] = {
    "gpu_type": "gpu_type",
    "term": "term",
    "price_usd_per_gpu_hour": "price_micro_usd_per_gpu_hour",
    "valid_from": "valid_from",
    "valid_to": "valid_to",
    "site": "site_id",
    "organisation": "organisation_id",
    "gpus_min": "gpu_count_min",
    "months_min": "month_count_min",
    "currency": "currency",
    "note": "note",
}
"""Field of a file -> field of the API; the first and the price are needed."""

ROW_COUNT_MAX = 1_000
"""As many as the API takes at once."""


def read_rate_file(text: str, *, is_csv: bool) -> list[doc.NewRate]:
    """The rows of a file.

    Raises:
        InputError: what is wrong, and in which line or row.
    """
    rows = _csv_rows(text) if is_csv else _yaml_rows(text)
    if not 1 <= len(rows) <= ROW_COUNT_MAX:
        raise InputError(f"the rate card has {len(rows)} rows, wanted 1 to {ROW_COUNT_MAX:,}")
    return [_row(number, row) for number, row in enumerate(rows, start=1)]


def _csv_rows(text: str) -> list[Mapping[str, object]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} of the rate card is no CSV: {error}") from error
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise InputError(f"row {number} of the rate card has not as many cells as the heading")
    return [{name: cell for name, cell in row.items() if cell != ""} for row in rows]


def _yaml_rows(text: str) -> list[Mapping[str, object]]:
    document = read_yaml(text, "the rate card").data
    rows = document.get("rates") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError("the rate card is no YAML mapping with a list 'rates' of mappings")
    return rows


def _row(number: int, row: Mapping[str, object]) -> doc.NewRate:
    """One row, in the words of the API.

    Raises:
        InputError: it is none.
    """
    what = f"row {number} of the rate card"
    unknown = sorted(set(row) - set(FIELDS))
    if unknown:
        raise InputError(f"{what} has {unknown[0]!r}, wanted {', '.join(FIELDS)}")
    if "price_usd_per_gpu_hour" not in row:
        raise InputError(f"{what} has no price_usd_per_gpu_hour")
    found: dict[str, Any] = {FIELDS[name]: value for name, value in row.items()}
    price = found["price_micro_usd_per_gpu_hour"]
    found["price_micro_usd_per_gpu_hour"] = micro_usd_of(str(price))
    for name in ("valid_from", "valid_to"):
        if name in found:
            found[name] = moment_of(str(found[name]))
    try:
        return doc.NewRate.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{what}: {where}: {first['msg']}") from error


def moment_of(text: str) -> datetime:
    """A day or a moment of ISO 8601, in UTC where it names no other zone.

    Raises:
        InputError: it is none.

    Example:
        >>> moment_of("2026-12-01").isoformat()
        '2026-12-01T00:00:00+00:00'
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text[:40]!r} is no date", next_step="Write e.g. 2026-12-01 or 2026-12-01T08:00."
        ) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
