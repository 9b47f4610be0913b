"""Addresses to listen on."""

from gigawatt.errors import InputError


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
