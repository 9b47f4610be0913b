"""Addresses to listen on."""

import socket

from gigawatt.errors import InputError

INHERITED = "fd:"
"""Before the number of a socket that whoever started this process opened."""


def parse_listen(text: str) -> tuple[str, int]:
    """Host and TCP port of ``HOST:PORT``.

    Raises:
        InputError: not of this form.

    Example:
        >>> parse_listen("127.0.0.1:8080")
        ('127.0.0.1', 8080)
    """
    host, _, number = text.rpartition(":")
    if not host or not number.isdecimal() or int(number) > 65_535:
        raise InputError(f"{text!r} is not HOST:PORT", next_step="Write e.g. 127.0.0.1:8080.")
    return host.strip("[]"), int(number)


def inherited_socket(text: str) -> socket.socket | None:
    """The listening socket that ``fd:N`` names; None for an address.

    Raises:
        InputError: there is no such socket.
    """
    if not text.startswith(INHERITED):
        return None
    number = text.removeprefix(INHERITED)
    try:
        return socket.socket(fileno=int(number))
    except (ValueError, OSError) as error:
        raise InputError(
            f"no socket was handed in as {number!r}", next_step="Write HOST:PORT instead."
        ) from error
