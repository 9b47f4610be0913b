"""Imports of prices: files and an installed gpuhunt become offers that say where they are from."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gigawatt.app.index_report import read_price_file
from gigawatt.economics.index.catalogues import offers_of_gpuhunt, offers_of_gpuhunt_csv
from gigawatt.economics.index.csv_format import write_offers
from gigawatt.economics.index.mapped_csv import offers_of_mapped_csv
from gigawatt.economics.index.quote import Offer
from gigawatt.economics.index.usage_file import offers_of_sales
from gigawatt.errors import InputError
from gigawatt.interfaces.clock import Clock

GPUHUNT_ADVICE = "Install it with 'pip install gpuhunt', or name files of its catalogue."


def source_of(kind: str, name: str, text: str) -> str:
    """Source of quotes out of a file: kind, name, and the first digits of its SHA-256.

    Example:
        >>> source_of("sales", "a.csv", "")
        'sales a.csv sha256:e3b0c44298fc'
    """
    return f"{kind} {name} sha256:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def import_gpuhunt_files(
    paths: Sequence[Path], day: date, provider: str | None
) -> tuple[Offer, ...]:
    """Offers of catalogue files, each named after its provider unless one is stated.

    Raises:
        InputError: a file cannot be read or is malformed, or one provider is stated for several.
    """
    if provider is not None and len(paths) > 1:
        raise InputError(f"--provider {provider} with {len(paths)} files, wanted one file")
    found: list[Offer] = []
    for path in paths:
        text = read_price_file(path)
        source = source_of("gpuhunt catalogue", path.name, text)
        found.extend(offers_of_gpuhunt_csv(text, provider or path.stem, day, source))
    return tuple(found)


def import_gpuhunt_query(providers: Sequence[str], clock: Clock) -> tuple[Offer, ...]:
    """Offers that an installed gpuhunt gives now; it asks the network.

    Raises:
        InputError: it is not installed, or it fails.
    """
    try:
        gpuhunt, release = import_module("gpuhunt"), version("gpuhunt")
    except (ImportError, PackageNotFoundError) as error:
        raise InputError("gpuhunt is not installed", next_step=GPUHUNT_ADVICE) from error
    try:
        items = gpuhunt.query(provider=list(providers) or None, min_gpu_count=1)
    except Exception as error:
        raise InputError(f"gpuhunt {release} failed: {error}", next_step=GPUHUNT_ADVICE) from error
    day = datetime.fromtimestamp(clock.now_s(), UTC).date()
    return offers_of_gpuhunt(items, day, f"gpuhunt {release} query")


def import_sales(path: Path) -> tuple[Offer, ...]:
    """Offers of a file of own sales.

    Raises:
        InputError: it cannot be read or is malformed.
    """
    text = read_price_file(path)
    return offers_of_sales(text, path.name, source_of("own sales", path.name, text))


def import_table(
    path: Path, columns: Mapping[str, str], values: Mapping[str, str]
) -> tuple[Offer, ...]:
    """Offers of a CSV table of any columns; its source is the file unless it says another.

    Raises:
        InputError: it cannot be read or is malformed.
    """
    text = read_price_file(path)
    header = text.removeprefix("\ufeff").partition("\n")[0]
    stated = dict(values)
    if "source" not in columns and "source" not in header.strip().split(","):
        stated.setdefault("source", source_of("table", path.name, text))
    return offers_of_mapped_csv(text, path.name, columns, stated)


def write_price_file(offers: Iterable[Offer], path: Path) -> int:
    """Write offers as a price file; how many they are.

    Raises:
        InputError: there are none, or the file cannot be written.
    """
    rows = list(offers)
    if not rows:
        raise InputError("no offer with a GPU in what was asked for")
    try:
        path.write_text(write_offers(rows), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error}", next_step="Choose another file."
        ) from error
    return len(rows)
