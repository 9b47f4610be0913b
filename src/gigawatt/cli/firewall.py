"""``gw firewall``: what may come into clusters from outside."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    OutputOption,
    ProjectOption,
    QuietOption,
    new_group,
)

app = new_group("Keep rulesets for gateways; clusters that name one follow it.")

RulesetArgument = Annotated[str, typer.Argument(help="Name or id of a ruleset.")]
Rules = Annotated[
    list[str] | None,
    typer.Option("--allow", help="tcp:22:198.51.100.0/24, udp:53-54:..., icmp::... (repeatable)."),
]


@app.command("list")
def list_(output: OutputOption = Format.TABLE, quiet: QuietOption = False) -> None:
    """List firewall rulesets.

    Example: gw firewall list
    """
    backend.storage.list_rulesets(output, quiet=quiet)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name.")],
    site: Annotated[str, typer.Option("--site", help="Site of the gateway.")],
    allow: Rules = None,
    project: ProjectOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Make a ruleset.

    Example: gw firewall create ssh --site site-a --allow tcp:22:198.51.100.0/24
    """
    backend.storage.create_ruleset(name, site, allow or [], project, output)


@app.command("set")
def set_(
    ruleset: RulesetArgument, allow: Rules = None, output: OutputOption = Format.TABLE
) -> None:
    """Put other rules in the place of all that are there; without --allow nothing may come in.

    Example: gw firewall set ssh --allow tcp:22:203.0.113.0/24
    """
    backend.storage.set_rules(ruleset, allow or [], output)


@app.command()
def delete(ruleset: RulesetArgument) -> None:
    """Forget a ruleset that no cluster names.

    Example: gw firewall delete ssh
    """
    backend.storage.delete_ruleset(ruleset)
