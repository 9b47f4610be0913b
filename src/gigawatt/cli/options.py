"""The options of commands, each declared once; light, so that ``--help`` starts at once."""

import inspect
import re
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from gigawatt.cli import backend
from gigawatt.errors import InputError
from gigawatt.ids import ClusterId, NodeId, ReservationId, SiteId, TenantId
from gigawatt.intent.amounts import micro_usd_of
from gigawatt.intent.request import ClusterRequest, Level, SpreadRule
from gigawatt.intent.term import Term
from gigawatt.units import GIB, KIB, MIB, PIB, TIB

_UNITS = {"": 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": TIB, "PiB": PIB}

CONTEXT = {"help_option_names": ["-h", "--help"]}
"""What every command is made with."""


class Format(StrEnum):
    """Formats of ``-o``."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="table for people; json or yaml for programs.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Go ahead without asking.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Ids only, one a line.")]


def completing(noun: str) -> Callable[[str], list[str]]:
    """What completes an id or a name: those that the control plane knows; none if it fails."""

    def complete(incomplete: str) -> list[str]:
        names: list[str] = backend.completing.names_of(noun)
        return [name for name in names if name.startswith(incomplete)]

    return complete


PROJECT_VARIABLES = ["GIGAWATT_PROJECT", "GIGAWATT_TENANT"]


def _project_option(text: str) -> Any:  # noqa: ANN401 - typer's own
    return typer.Option(
        "--project",
        "-p",
        "--tenant",
        "-t",
        envvar=PROJECT_VARIABLES,
        help=text,
        metavar="PROJECT",
        autocompletion=completing("project"),
    )


OneOrganisationOption = Annotated[
    str | None, typer.Option("--organisation", help="Id (org_...) of one alone.")
]
WhoseOption = Annotated[
    str | None, _project_option("Whose cluster, when several projects have one of this name.")
]
ProjectOption = Annotated[str | None, _project_option("Name or id (ten_...) of the project.")]
NameArgument = Annotated[
    str,
    typer.Argument(help="Name or id (clu_...) of a cluster.", autocompletion=completing("cluster")),
]
NodeArgument = Annotated[
    str, typer.Argument(help="Id of a node.", autocompletion=completing("node"))
]
NodesArgument = Annotated[
    list[str],
    typer.Argument(
        help="Ids of nodes; see 'gw fleet show --nodes'.", autocompletion=completing("node")
    ),
]
ForOption = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="Show the total for e.g. 72h, 14d.")
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Start the work and return; see 'gw cluster watch'.")
]
WaitOption = Annotated[
    float | None,
    typer.Option(
        "--wait-s", help="Stop watching after this many seconds; the work goes on.", min=0
    ),
]


def new_group(purpose: str) -> typer.Typer:
    """A command with subcommands; without one it shows its help."""
    return typer.Typer(
        help=purpose,
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        context_settings=CONTEXT,
    )


def new_command() -> typer.Typer:
    """A command without subcommands."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, context_settings=CONTEXT)


def bytes_of(text: str) -> int:
    """Bytes of a size with a binary unit, e.g. ``50TiB``.

    Raises:
        InputError: not a size.

    Example:
        >>> bytes_of("2GiB")
        2147483648
    """
    match = re.fullmatch(r"\s*(\d{1,15})\s*([KMGTP]iB|B)?\s*", text, re.ASCII)
    if match is None:
        raise InputError(f"{text!r} is not a size", next_step="Write a size such as 50TiB.")
    return int(match[1]) * _UNITS[match[2] or ""]


def spread_of(text: str) -> SpreadRule:
    """A spread rule from ``per=count``.

    Raises:
        InputError: not a rule.

    Example:
        >>> spread_of("rack=2").nodes_max
        2
    """
    per, _, count = text.partition("=")
    if not re.fullmatch(r"[0-9]{1,9}", count):
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
        raise InputError(
            f"ssh key {path} cannot be read: {getattr(error, 'strerror', None) or 'not text'}",
            next_step="Give the public half of a key, a file such as id_ed25519.pub.",
        ) from error
    if "PRIVATE KEY" in text:
        raise InputError(
            f"{path} is a private key and was not sent", next_step=f"Give {path}.pub instead."
        )
    return text


Many = list[str] | None


def _option(flag: str, metavar: str, text: str, *others: str) -> Any:  # noqa: ANN401 - typer's own
    return typer.Option(flag, *others, metavar=metavar, help=text)


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name: lower-case letters, digits, hyphens.")
]
Gpus = Annotated[int, _option("--gpus", "N", "GPUs: whole nodes, or a slice: 1, 2, 4.", "-g")]
Tenant = Annotated[str | None, _project_option("Who asks: name or id of the project.")]
GpuType = Annotated[str | None, _option("--type", "GPU", "GPU type, e.g. h100; else the cheapest.")]
Storage = Annotated[str, _option("--storage", "SIZE", "A file system of its own, e.g. 50TiB.")]
Spares = Annotated[int, _option("--spares", "N", "Nodes held ready to replace failed ones.")]
Segment = Annotated[int | None, _option("--segment", "N", "Nodes that share one NVLink domain.")]
Whole = Annotated[bool, typer.Option("--whole-domains", help="Take whole NVLink domains only.")]
Together = Annotated[
    Level,
    _option("--keep-together", "LEVEL", f"Widest level it may span: {', '.join(Level)}."),
]
Spread = Annotated[Many, _option("--spread", "PER=N", "At most N nodes each, e.g. rack=2. *")]
Site = Annotated[Many, _option("--site", "SITE", "Site allowed; all if left out. *")]
Country = Annotated[Many, _option("--country", "CC", "Country allowed, e.g. NO. *")]
Exclude = Annotated[Many, _option("--exclude", "NODE", "Node never to use. *")]
Near = Annotated[str | None, _option("--near", "CLUSTER", "Cluster to be close to.")]
HostImage = Annotated[str, _option("--image", "IMAGE", "Image that the hosts boot.")]
SshKey = Annotated[list[Path] | None, _option("--ssh-key", "FILE", "Public key to let in. *")]
Egress = Annotated[
    Many, _option("--egress", "CIDR", "Outside network it may reach. (* may be repeated)")
]


MaxPrice = Annotated[
    str | None, _option("--max-price", "USD", "Dollars a GPU-hour at most; spot needs it.")
]
TermChoice = Annotated[
    Term | None, _option("--term", "TERM", "How they are held: on_demand, reserved or spot.")
]
OfReservation = Annotated[
    str | None, _option("--reservation", "RES", "Reservation that covers it: name or id.")
]
Lent = Annotated[
    bool, typer.Option("--lent", help="Take nodes on loan too; they are asked back with notice.")
]
MinGpus = Annotated[
    int, _option("--min-gpus", "N", "Of no use with fewer: then all are given back.")
]
BidAgain = Annotated[bool, typer.Option("--bid-again", help="Bid again when spot was taken back.")]


def build_request(
    name: Name,
    gpus: Gpus,
    tenant: Tenant = None,
    gpu_type: GpuType = None,
    storage: Storage = "0",
    spares: Spares = 0,
    segment: Segment = None,
    whole_domains: Whole = False,
    keep_together: Together = Level.FABRIC,
    spread: Spread = None,
    site: Site = None,
    country: Country = None,
    exclude: Exclude = None,
    near: Near = None,
    image: HostImage = "debian-12-gpu",
    ssh_key: SshKey = None,
    egress: Egress = None,
    term: TermChoice = None,
    max_price: MaxPrice = None,
    reservation: OfReservation = None,
    lent: Lent = False,
    min_gpus: MinGpus = 0,
    bid_again: BidAgain = False,
) -> ClusterRequest:
    """The request that the options describe; each argument is the option of its name.

    Raises:
        InputError: an option is malformed.
    """
    if reservation is not None and term is Term.ON_DEMAND:
        term = Term.RESERVED
    return ClusterRequest(
        tenant_id=TenantId(tenant or ""),
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
        term=term or (Term.RESERVED if reservation else Term.ON_DEMAND),
        price_micro_usd_per_gpu_hour_max=None if max_price is None else micro_usd_of(max_price),
        reservation_id=ReservationId(reservation) if reservation else None,
        is_lent=lent,
        gpu_count_min=min_gpus,
        returns_to_queue=bid_again,
    )


def taking(build: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: the command takes the options of ``build``, then its own.

    What ``build`` makes of its options is the first argument of the function that is decorated.
    """
    options = inspect.signature(build).parameters

    def decorate(run: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(run).parameters.values())[1:]

        @wraps(run)
        def command(**given: Any) -> None:  # noqa: ANN401 - whatever the options are
            built = build(**{name: given.pop(name) for name in options})
            run(built, **given)

        command.__signature__ = inspect.Signature([*options.values(), *own])  # type: ignore[attr-defined]
        return command

    return decorate


with_request = taking(build_request)
"""A command that takes the options of a request, then its own, from ``run(request, ...)``."""
