"""The power command; see the package."""

import argparse
import sys
from pathlib import Path
from typing import TextIO

from gigawatt.errors import GigawattError, UnknownIdError
from gigawatt.lab.machine.config import MachineConfig, MachinesConfig, read_config
from gigawatt.lab.machine.disk import sample, sanitise
from gigawatt.lab.machine.processes import end, first_process, progress

GRACEFUL_S_MAX = 30.0
"""How long a machine may take to end by itself. Ours."""
KILL_S_MAX = 10.0
"""How long the kernel may take to end all processes of a machine. Ours."""


def main() -> None:
    """Do what the words say."""
    parser = argparse.ArgumentParser(prog="python -m gigawatt.lab.machine")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("verb", choices=("state", "on", "off", "prove-off", "sanitise", "sample"))
    parser.add_argument("node")
    parser.add_argument("--media", type=Path)
    parser.add_argument("--graceful", action="store_true")
    words = parser.parse_args()
    try:
        config = read_config(words.config.read_text(encoding="utf-8"))
        sys.exit(_do(config, config.host(words.node), words))
    except UnknownIdError as error:
        _say(error, sys.stderr)
        sys.exit(2)
    except (GigawattError, OSError) as error:
        _say(" ".join(str(error).split()), sys.stderr)
        sys.exit(1)


def _do(config: MachinesConfig, host: MachineConfig, words: argparse.Namespace) -> int:
    netns = Path(host.netns)
    if words.verb == "state":
        first = first_process(netns)
        _say(f"{'off' if first is None else 'on'} {progress(first)}")
    elif words.verb == "on":
        # It imports numbers and YAML, which takes longer than all that the others do.
        from gigawatt.lab.machine.power import power_on  # noqa: PLC0415

        power_on(config, host, words.media)
    elif words.verb == "off":
        wait_s_max = GRACEFUL_S_MAX if words.graceful else KILL_S_MAX
        if not end(netns, is_graceful=words.graceful, wait_s_max=wait_s_max):
            _say(f"{host.node_id} is still on after {wait_s_max:g} s", sys.stderr)
            return 1
    elif words.verb == "prove-off":
        first = first_process(netns)
        if first is not None:
            _say(f"process {first} of {host.node_id} runs", sys.stderr)
            return 1
        _say("the kernel has no process of it")
    elif words.verb == "sanitise":
        _say(sanitise(host))
    else:
        is_empty, found = sample(host)
        _say(found)
        return 0 if is_empty else 1
    return 0


def _say(sentence: object, where: TextIO = sys.stdout) -> None:
    where.write(f"{sentence}\n")


if __name__ == "__main__":
    main()
