"""Groups whose commands are made when one is called: help lists them without making any.

Making the parameters of a command costs typer an import of pydantic, a fifth of a second.
"""

import inspect
from collections import UserDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_command_from_info, get_command_name
from typer.models import CommandInfo
from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Maker:
    """How a command is made, the line that help shows for it, and an example of its use."""

    line: str
    make: Callable[[], Any]
    example: str = ""


class _Commands(UserDict[str, Any]):
    """Commands by name, each made when it is asked for."""

    @override
    def __getitem__(self, name: str) -> Any:
        maker: Maker = self.data[name]
        return maker.make()


class LazyGroup(TyperGroup):
    """A group of commands that are made when they are called.

    It has no parameters that typer knows of, and answers ``--help`` by itself.
    """

    default_name: str | None = None
    """Command that runs where the first word names none."""
    options: ClassVar[tuple[tuple[str, str], ...]] = (("-h, --help", "Show this."),)
    sections: ClassVar[Mapping[str, str]] = {}
    """Headings, by the command that each begins with; without any, there is one for all."""

    def fill(self, makers: Mapping[str, Maker]) -> "LazyGroup":
        """This group with these commands, in this order."""
        self.commands = _Commands()
        self.commands.data = dict(makers)
        return self

    @override
    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order given."""
        del ctx
        return list(self.commands)

    @override
    def get_params(self, ctx: Any) -> list[Any]:
        """No parameters to make."""
        del ctx
        return []

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Answer a call for help; leave the rest to typer."""
        if args[:1] in (["-h"], ["--help"]):
            typer.echo(ctx.get_help())
            raise typer.Exit
        if self.default_name is not None and (not args or args[0] not in self.commands):
            args = [self.default_name, *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    @override
    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, and the commands after them."""
        with formatter.section("Options"):
            formatter.write_dl(self.options)
        self.format_commands(ctx, formatter)

    @override
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands without making any, and an example of each."""
        del ctx
        makers: dict[str, Maker] = self.commands.data  # type: ignore[attr-defined]
        width = max(map(len, makers))
        heads = {name: self.sections[name] for name in makers if name in self.sections}
        heads = heads or {next(iter(makers)): "Commands"}
        rows: dict[str, list[tuple[str, str]]] = {}
        head = ""
        for name, maker in makers.items():
            head = heads.get(name, head)
            rows.setdefault(head, []).append((name.ljust(width), maker.line))
        for head, lines in rows.items():
            with formatter.section(head):
                formatter.write_dl(lines)
        examples = [maker.example for maker in makers.values() if maker.example]
        if examples:
            with formatter.section("Examples"):
                for example in examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def _first_sentence(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())


def _example(text: str | None) -> str:
    """The example of a docstring, as one line."""
    parts = inspect.cleandoc(text or "").split("\n\n")
    found = next((part for part in parts if part.startswith("Example: ")), "")
    return " ".join(found.removeprefix("Example: ").split())


def _function_name(info: CommandInfo) -> str:
    assert info.callback is not None, "a command without a function"
    return info.callback.__name__


def command_of(app: typer.Typer, name: str) -> Any:  # noqa: ANN401 - typer does not export its types
    """The command that ``app`` is: one command, or a group whose commands are made when called.

    A command of the group's own name is what the group does where no other is named.
    """
    infos = app.registered_commands
    if len(infos) < 2:
        return get_command(app)

    def maker(info: CommandInfo) -> Maker:
        return Maker(
            _first_sentence(info.callback.__doc__),
            lambda: get_command_from_info(
                info, pretty_exceptions_short=False, rich_markup_mode=None
            ),
            _example(info.callback.__doc__),
        )

    group = LazyGroup(
        name=name,
        help=str(app.info.help),
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    names = {info: info.name or get_command_name(_function_name(info)) for info in infos}
    if name in names.values():
        group.default_name, group.no_args_is_help = name, False
    return group.fill({names[info]: maker(info) for info in infos})
