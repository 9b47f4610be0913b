"""Files of the economics: what is read from disk and what is written as tables."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from gigawatt.economics.gpu_hour.inputs import CostInputs, cost_inputs_of
from gigawatt.errors import InputError


def read_text(path: Path) -> str:
    """Text of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def read_cost_inputs(path: Path | None) -> CostInputs:
    """Inputs from a JSON or YAML file of field and value; the defaults where there is no file.

    Raises:
        InputError: the file is no mapping, or a field is wrong; it is named.
    """
    if path is None:
        return CostInputs()
    try:
        document = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is neither YAML nor JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} is no mapping of field to value")
    return cost_inputs_of({str(name): value for name, value in document.items()})


def write_table(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write rows as CSV or JSON, as the path's ending says; the file is replaced.

    Raises:
        InputError: the ending is neither .csv nor .json, or the file cannot be written.
    """
    if path.suffix not in {".csv", ".json"}:
        raise InputError(f"{path} ends in {path.suffix!r}, wanted .csv or .json")
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            if path.suffix == ".json":
                json.dump([dict(row) for row in rows], stream, indent=2)
                stream.write("\n")
            elif rows:
                writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error
