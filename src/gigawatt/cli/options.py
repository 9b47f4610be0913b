"""The options that describe a wish for a cluster, shared by ``create`` and ``plan``."""

import re
from pathlib import Path
from typing import Annotated

import typer

from gigawatt.errors import InputError
from gigawatt.ids import ClusterId, NodeId, SiteId, TenantId
from gigawatt.intent.request import ClusterRequest, Level, SpreadRule
from gigawatt.units import GIB, KIB, MIB, PIB, TIB

_UNITS = {"": 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": TIB, "PiB": PIB}

NameOption = Annotated[str, typer.Argument(help="Name of the cluster, an RFC 1123 label.")]
GpusOption = Annotated[int, typer.Option("--gpus", "-g", help="GPUs wanted: 1, 2, 4, 8, 16, ...")]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="GPU type, e.g. h100; cheapest that fits if left out.")
]
StorageOption = Annotated[
    str, typer.Option("--storage", help="Quota of the file system, e.g. 50TiB.")
]
SparesOption = Annotated[int, typer.Option("--spares", help="Extra nodes that replace failed ones.")]
SegmentOption = Annotated[
    int | None,
    typer.Option("--segment", help="Nodes per segment; each inside one NVLink domain."),
]
WholeOption = Annotated[
    bool, typer.Option("--whole-domains", help="Take whole NVLink domains only.")
]
TogetherOption = Annotated[
    Level, typer.Option("--keep-together", help="Widest level the nodes may span.")
]
SpreadOption = Annotated[
    list[str] | None,
    typer.Option("--spread", help="At most N nodes per group, e.g. rack=2 (repeatable)."),
]
SiteOption = Annotated[
    list[str] | None, typer.Option("--site", help="Site allowed (repeatable); all if left out.")
]
CountryOption = Annotated[
    list[str] | None, typer.Option("--country", help="Country allowed, e.g. NO (repeatable).")
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option("--exclude", help="Node never to use (repeatable).")
]
NearOption = Annotated[
    str | None, typer.Option("--near", help="Id of a cluster to be close to.")
]
ImageOption = Annotated[str, typer.Option("--image", help="Host image.")]
KeyOption = Annotated[
    list[Path] | None,
    typer.Option("--ssh-key", help="File with an OpenSSH public key (repeatable)."),
]
EgressOption = Annotated[
    list[str] | None,
    typer.Option("--egress", help="IPv4 network the cluster may reach (repeatable)."),
]


def bytes_of(text: str) -> int:
    """Bytes of a size with a binary unit, e.g. ``50TiB``.

    Raises:
        InputError: not a size.

    Example:
        >>> bytes_of("2GiB")
        2147483648
    """
    match = re.fullmatch(r"\s*(\d{1,15})\s*([KMGTP]iB|B)?\s*", text)
    if match is None:
        raise InputError(f"{text!r} is not a size", next_step="Write a size such as 50TiB.")
    return int(match[1]) * _UNITS[match[2] or ""]


def spread_of(text: str) -> SpreadRule:
    """A spread rule from ``per=count``.

    Raises:
        InputError: not a rule.
    """
    per, _, count = text.partition("=")
    if not count.isdecimal():
        raise InputError(f"{text!r} is not a spread rule", next_step="Write e.g. rack=2.")
    return SpreadRule(per, int(count))


def key_of(path: Path) -> str:
    """The one line of a public key file.

    Raises:
        InputError: the file cannot be read or is a private key.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"ssh key {path} cannot be read: {error}") from error
    if "PRIVATE KEY" in text:
        raise InputError(
            f"{path} is a private key and was not sent", next_step=f"Give {path}.pub instead."
        )
    return text


def build_request(
    tenant: str,
    name: str,
    gpus: int,
    *,
    gpu_type: str | None = None,
    storage: str = "0",
    spares: int = 0,
    segment: int | None = None,
    whole_domains: bool = False,
    keep_together: Level = Level.FABRIC,
    spread: list[str] | None = None,
    site: list[str] | None = None,
    country: list[str] | None = None,
    exclude: list[str] | None = None,
    near: str | None = None,
    image: str = "debian-12-gpu",
    ssh_key: list[Path] | None = None,
    egress: list[str] | None = None,
) -> ClusterRequest:
    """The request that the options describe; each argument is the option of its name.

    Raises:
        InputError: an option is malformed.
    """
    return ClusterRequest(
        tenant_id=TenantId(tenant),
        name=name,
        gpu_count=gpus,
        gpu_type=gpu_type,
        segment_node_count=segment,
        whole_domains=whole_domains,
        keep_together=keep_together,
        spread=tuple(spread_of(text) for text in spread or ()),
        site_ids=tuple(SiteId(s) for s in site or ()),
        countries=tuple(country or ()),
        spare_count=spares,
        excluded_node_ids=frozenset(NodeId(n) for n in exclude or ()),
        near_cluster_id=ClusterId(near) if near else None,
        storage_bytes=bytes_of(storage),
        image=image,
        ssh_public_keys=tuple(key_of(path) for path in ssh_key or ()),
        egress_cidrs=tuple(egress or ()),
    )
