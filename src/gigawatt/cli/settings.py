"""Which control plane a command talks to, as its flags say; light, so that help starts at once.

``--server`` and ``--profile`` may stand anywhere on the line, before ``--``.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from gigawatt.errors import InputError

EMBEDDED = "embedded"
"""In the place of an address: this computer's own state, whatever is configured."""

FLAGS = ("--server", "--profile")

HELP = (
    ("--server URL", "Talk to this server; 'embedded' for this computer's own state."),
    ("--profile NAME", "Talk to the server of this profile; see 'gw login'."),
)
"""What help says of the flags."""


@dataclass(slots=True)
class Flags:
    """What the flags of this command line say."""

    server: str | None = None
    profile: str | None = None


flags = Flags()


def take_flags(arguments: list[str]) -> list[str]:
    """The arguments without the flags of this module, which are kept.

    Raises:
        InputError: a flag has no value.
    """
    flags.server = flags.profile = None
    rest: list[str] = []
    line = iter(arguments)
    for word in line:
        if word == "--":
            rest.append(word)
            break
        name, has_value, value = word.partition("=")
        if name not in FLAGS:
            rest.append(word)
            continue
        found = value if has_value else next(line, "")
        if not found:
            raise InputError(f"{name} has no value", next_step=f"Write {name} VALUE.")
        setattr(flags, name.removeprefix("--"), found)
    return [*rest, *line]


def config_path() -> Path:
    """The file of profiles: ``$GIGAWATT_CONFIG``, or in the user's folder for configuration.

    Source: XDG base directory specification.
    """
    named = os.environ.get("GIGAWATT_CONFIG")
    if named:
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "gigawatt" / "profiles.toml"
