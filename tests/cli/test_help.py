"""What ``--help`` teaches.

Goal: a newcomer finds a command by what it is for, and an example of each that could be typed as
it stands. Method: every command of the tree is asked for its help, and every example is parsed by
the command that it names, without being run.
"""

import inspect
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from gigawatt.cli.lazy import LazyGroup
from gigawatt.cli.main import COMMANDS, SECTIONS, app


def leaves(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words."""
    for name in group.commands:
        command = group.commands[name]
        if hasattr(command, "commands"):
            yield from leaves(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


LEAVES = dict(leaves(app))


def examples(command: Any) -> list[str]:
    """Command lines of the examples in a command's help."""
    parts = inspect.cleandoc(command.help or "").split("\n\n")
    found = [" ".join(part.split()) for part in parts if part.startswith("Example: ")]
    return [line for text in found for line in text.removeprefix("Example: ").split(" && ")]


def parse(line: str) -> None:
    """Parse a command line as the shell would hand it over, and run nothing."""
    words = shlex.split(line.removeprefix("sudo -E "), comments=True)
    for sign in ("<", ">", ">>", "|"):
        words = words[: words.index(sign)] if sign in words else words
    assert words[0] == "gw"
    command, rest = app, words[1:]
    context = app.make_context("gw", rest)
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("words", LEAVES)
def test_every_command_has_an_example_that_reads(words: str):
    found = examples(LEAVES[words])
    assert found, f"gw {words} has no example"
    assert any(words in line or words.partition(" ")[0] in line for line in found)
    for line in found:
        parse(line)


def test_an_example_that_does_not_read_is_caught():
    with pytest.raises(Exception, match="no-such-option"):
        parse("gw cluster list --no-such-option")


@pytest.mark.parametrize("name", [n for n in COMMANDS if isinstance(app.commands[n], LazyGroup)])
def test_a_group_ends_with_the_examples_of_its_commands(name: str):
    command = app.commands[name]
    context = typer.Context(command, info_name=f"gw {name}")
    text = command.get_help(context)
    shown = text.partition("\nExamples:\n")[2].splitlines()
    assert len(shown) == len(command.commands)
    assert all(re.match("  (sudo -E )?gw ", line) for line in shown)


def test_the_tree_is_sorted_by_what_it_is_for():
    text = app.get_help(typer.Context(app, info_name="gw"))
    places = [text.index(f"\n{head}:\n") for head in SECTIONS.values()]
    assert places == sorted(places)
    assert set(SECTIONS) <= set(COMMANDS)
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in text
        assert line in " ".join(text.split())
