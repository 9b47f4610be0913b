"""Offers out of other projects' price catalogues: SkyPilot's tables and gpuhunt's items.

Both price the whole node. SkyPilot's ``vms.csv`` leaves a price empty where a provider publishes
none, and counts memory in MiB, some rows in GiB by mistake. The zones of one region class become
one offer, the median of their distinct prices: many zones give a provider no larger voice.
Source: columns of skypilot-catalog ``catalogs/v8/*/vms.csv`` and fields of gpuhunt's
``CatalogItem`` and columns of its catalogue files (0.1.34), all as of 2026.
"""

import ast
import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isfinite, nan
from statistics import median_low
from typing import Protocol

from gigawatt.economics.index.gpus import gpu_of_text
from gigawatt.economics.index.quote import Offer, PriceBasis, Term
from gigawatt.errors import InputError

SKYPILOT_COLUMNS = ("InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "Region")
GPUHUNT_COLUMNS = (
    "instance_name", "location", "price", "gpu_count", "gpu_name", "gpu_memory", "spot",
)  # fmt: skip
PRICE_USD_MAX = 1e6
_MIB_MIN = 1024
"""A memory below it cannot be MiB of a GPU of this trade; it was written in GiB."""

_REGION_PREFIXES = {
    "na": ("us", "usa", "northamerica", "na", "canada", "ca", "mexico", "centralus", "eastus",
           "westus", "southcentralus", "northcentralus", "westcentralus"),
    "eu": ("eu", "eur", "europe", "uk", "gb", "de", "fr", "nl", "se", "no", "fi", "is", "cz", "ro",
           "dk", "it", "es", "pl", "germany", "france", "sweden", "norway", "westeurope",
           "northeurope", "switzerland", "finland", "iceland"),
    "asia": ("ap", "asia", "in", "jp", "sg", "kr", "japan", "korea", "india", "sea", "eastasia",
             "southeastasia", "oc", "au", "australia"),
}  # fmt: skip


class CatalogueItem(Protocol):
    """The fields of a gpuhunt ``CatalogItem`` that are read; the package itself is not needed.

    Fields: gpu_memory in GB for each GPU; the others speak for themselves.
    """

    instance_name: str
    location: str
    gpu_count: int
    gpu_name: str | None
    gpu_memory: float | None
    spot: bool
    provider: str

    @property
    def price(self) -> float:
        """USD per hour for the whole node; the name is gpuhunt's."""
        ...


def region_class(region: str) -> str:
    """Class of a region by its first word: "na", "eu", "asia" or "other"; "" for none.

    Example:
        >>> region_class("europe-central-1")
        'eu'
    """
    if not region:
        return ""
    word = region.lower().replace("_", "-").split("-")[0].rstrip("0123456789")
    for name, prefixes in _REGION_PREFIXES.items():
        if word in prefixes:
            return name
    return "other"


def _merged(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """One offer per product and region class: the median zone, which is a real one."""
    groups: dict[tuple[object, ...], list[Offer]] = defaultdict(list)
    for offer in offers:
        key = (offer.day, offer.provider, offer.gpu, offer.term, offer.region, offer.sku)
        groups[key].append(offer)
    merged = []
    for group in groups.values():
        priced = {offer.price_micro: offer for offer in group if offer.price_micro}
        merged.append(priced[median_low(priced)] if priced else group[0])
    return tuple(merged)


def _memory_gbyte(text: str) -> int:
    """GB of one GPU out of a SkyPilot ``GpuInfo`` cell, 0 if it does not say."""
    try:
        size = float(ast.literal_eval(text)["Gpus"][0]["MemoryInfo"]["SizeInMiB"])
    except (ValueError, SyntaxError, KeyError, IndexError, TypeError, RecursionError, MemoryError):
        return 0
    return round(size / 1024) if size >= _MIB_MIN else round(size)


def _micro(text: str, place: str, column: str) -> int | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= PRICE_USD_MAX:
        raise InputError(f"{place}, column {column!r}: got {text[:40]!r}, wanted a price")
    return round(value * 1e6)


def _rows(text: str, name: str, columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    reader = csv.DictReader(io.StringIO(text))
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{name} line 1: column {missing[0]!r} is missing")
    try:
        for row in reader:
            yield f"{name} line {reader.line_num}", {k: v or "" for k, v in row.items() if k}
    except csv.Error as error:
        raise InputError(f"{name} line {reader.line_num}: not CSV: {error}") from error


def offers_of_skypilot(text: str, provider: str, day: date, name: str) -> tuple[Offer, ...]:
    """Offers of one version of a SkyPilot ``vms.csv``: on-demand and, where priced, spot.

    Args:
        text: the table.
        provider: seller, SkyPilot's name of the cloud.
        day: when this version was committed.
        name: what to call it in complaints and as the source, e.g. "catalogs/v8/x/vms.csv@1a2b".

    Raises:
        InputError: a column is missing or a number is none; line and column are named.
    """
    offers = []
    for place, row in _rows(text, name, SKYPILOT_COLUMNS):
        if not row["AcceleratorName"].strip():
            continue
        try:
            count = float(row["AcceleratorCount"])
        except ValueError:
            got = row["AcceleratorCount"][:40]
            raise InputError(
                f"{place}, column 'AcceleratorCount': got {got!r}, wanted a number"
            ) from None
        gpu = gpu_of_text(row["AcceleratorName"], _memory_gbyte(row.get("GpuInfo", "")))
        for column, term in (("Price", Term.ON_DEMAND), ("SpotPrice", Term.SPOT)):
            price = _micro(row.get(column, ""), place, column)
            if price is None and term is Term.SPOT:
                continue
            offers.append(
                Offer(
                    place=place,
                    day=day,
                    provider=provider,
                    gpu=gpu,
                    term=term,
                    price_micro=price,
                    currency="USD",
                    source=name,
                    retrieved=day,
                    region=region_class(row["Region"]),
                    sku=row["InstanceType"].strip(),
                    gpu_count=count,
                    basis=PriceBasis.NODE,
                )
            )
    return _merged(offers)


def _gpuhunt_offer(item: CatalogueItem, place: str, day: date, source: str) -> Offer | None:
    """The offer of an item; None without a GPU."""
    if not item.gpu_name or not item.gpu_count:
        return None
    if not 0 <= item.price <= PRICE_USD_MAX:
        raise InputError(f"{place}, column 'price': got {item.price!r}, wanted a price")
    return Offer(
        place=place,
        day=day,
        provider=item.provider,
        gpu=gpu_of_text(item.gpu_name, round(item.gpu_memory or 0)),
        term=Term.SPOT if item.spot else Term.ON_DEMAND,
        price_micro=round(item.price * 1e6),
        currency="USD",
        source=source,
        retrieved=day,
        region=region_class(item.location),
        sku=item.instance_name,
        gpu_count=float(item.gpu_count),
        basis=PriceBasis.NODE,
    )


def offers_of_gpuhunt(items: Iterable[CatalogueItem], day: date, source: str) -> tuple[Offer, ...]:
    """Offers of gpuhunt's catalogue items; items without a GPU are passed over.

    Args:
        items: what ``gpuhunt.query()`` gives.
        day: when it was asked.
        source: e.g. "gpuhunt 0.1.34 online".

    Raises:
        InputError: a price is none.
    """
    found = (
        _gpuhunt_offer(item, f"{source} item {number}", day, source)
        for number, item in enumerate(items, 1)
    )
    return _merged(offer for offer in found if offer is not None)


@dataclass(slots=True)
class _Listed:
    """A row of a gpuhunt catalogue file; fields as in ``CatalogueItem``."""

    instance_name: str
    location: str
    gpu_count: int
    gpu_name: str | None
    gpu_memory: float | None
    spot: bool
    provider: str
    price_usd: float

    @property
    def price(self) -> float:
        return self.price_usd


def _listed(row: Mapping[str, str], provider: str, place: str) -> _Listed:
    def number(column: str) -> float:
        try:
            value = float(row[column] or 0)
        except ValueError:
            value = nan
        if not isfinite(value):
            got = row[column][:40]
            raise InputError(f"{place}, column {column!r}: got {got!r}, wanted a number")
        return value

    if not row["price"].strip() or row["spot"].strip().lower() not in {"true", "false"}:
        column = "spot" if row["price"].strip() else "price"
        wanted = "True or False" if column == "spot" else "a price"
        raise InputError(f"{place}, column {column!r}: got {row[column][:40]!r}, wanted {wanted}")
    return _Listed(
        instance_name=row["instance_name"].strip(),
        location=row["location"].strip(),
        gpu_count=int(number("gpu_count")),
        gpu_name=row["gpu_name"].strip().removeprefix("tpu-") or None,
        gpu_memory=number("gpu_memory") or None,
        spot=row["spot"].strip().lower() == "true",
        provider=provider,
        price_usd=number("price"),
    )


def offers_of_gpuhunt_csv(text: str, provider: str, day: date, name: str) -> tuple[Offer, ...]:
    """Offers of one provider's file of a gpuhunt catalogue.

    Args:
        text: the table; its columns are those of gpuhunt's ``storage.py``, more are passed over.
        provider: seller; the file does not say it, its name does.
        day: when the catalogue was published.
        name: what to call it in complaints and as the source.

    Raises:
        InputError: a column is missing or a cell does not read; line and column are named.
    """
    found = (
        _gpuhunt_offer(_listed(row, provider, place), place, day, name)
        for place, row in _rows(text, name, GPUHUNT_COLUMNS)
    )
    return _merged(offer for offer in found if offer is not None)
