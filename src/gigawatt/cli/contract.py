"""``gw contract``: what was agreed with organisations, and prices of what is not GPUs."""

from enum import StrEnum
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_group
from gigawatt.cli.project import OrganisationOption

app = new_group("See and agree commitments, credits, minimums, taxes; price storage.")


class Kind(StrEnum):
    """What can be agreed."""

    COMMITMENT = "commitment"
    CREDIT = "credit"
    MINIMUM = "minimum"
    TAX = "tax"


@app.command("list")
def list_(organisation: OrganisationOption = None, output: OutputOption = Format.TABLE) -> None:
    """List what was agreed with an organisation, and what is used of it.

    Example: gw contract list
    """
    backend.billing.list_items(organisation, output)


@app.command()
def add(
    kind: Annotated[Kind, typer.Argument(help="What it is.")],
    name: Annotated[str, typer.Argument(help="What invoices call it.")],
    first: Annotated[str, typer.Option("--from", help="First month.")],
    last: Annotated[str, typer.Option("--to", help="Last month.")],
    amount: Annotated[
        str, typer.Option("--amount", help="Dollars: in all, of a minimum a month.")
    ] = "",
    percent: Annotated[str, typer.Option("--percent", help="Rate of a tax.")] = "",
    organisation: OrganisationOption = None,
) -> None:
    """Agree on a commitment, a credit, a monthly minimum or a tax; for operators.

    Example: gw contract add commitment prepaid --amount 100000 --from 2026-12 --to 2027-11
    """
    backend.billing.add_item((kind.value, name, first, last), (amount, percent), organisation)


@app.command("prices")
def prices(output: OutputOption = Format.TABLE) -> None:
    """List prices of storage and of what other services measure; for operators.

    Example: gw contract prices
    """
    backend.billing.list_prices(output)


@app.command("price")
def price(
    product: Annotated[
        str,
        typer.Argument(
            help="storage, sandbox.cpu_seconds, network.egress_bytes, or an event type."
        ),
    ],
    amount: Annotated[str, typer.Argument(help="Dollars for one unit.")],
    first: Annotated[str, typer.Option("--from", help="First month.")],
    unit: Annotated[str | None, typer.Option("--unit", help="What a unit is called.")] = None,
    parts: Annotated[
        int | None, typer.Option("--parts", help="How many of what is measured it has.")
    ] = None,
    organisation: OrganisationOption = None,
) -> None:
    """Set a price of storage, or of what another service measures; for operators.

    Of storage it is for a TiB-hour, of sandbox.cpu_seconds for a CPU-hour, of network.egress_bytes
    for a GiB; of any other type --unit and --parts say what it is for.

    Example: gw contract price storage 0.03 --from 2026-12
    """
    backend.billing.add_price((product, amount, first), (unit, parts), organisation)
