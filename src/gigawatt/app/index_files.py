"""Files of the index report: JSON, and a picture of every sub-index."""

import json
from pathlib import Path

from gigawatt.app.index_plot import draw_sub_index
from gigawatt.app.index_report import IndexReport, report_document
from gigawatt.errors import InputError


def write_report(report: IndexReport, folder: Path) -> tuple[Path, ...]:
    """Write ``index.json`` and one PNG and SVG per sub-index; the files, in order.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        json_path = folder / "index.json"
        document = json.dumps(report_document(report), indent=2, allow_nan=False)
        json_path.write_text(document + "\n", encoding="utf-8")
        paths = [json_path]
        for part in report.parts:
            stem = part.series.label.lower()
            stem = "".join(letter if letter.isalnum() else "_" for letter in stem)
            for form in ("png", "svg"):
                paths.append(folder / f"{stem}.{form}")
                draw_sub_index(part, report.name, paths[-1])
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}") from error
    return tuple(paths)
