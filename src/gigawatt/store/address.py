"""Where a store is: a file, or the URL of a PostgreSQL database; and its name without secrets."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from gigawatt.errors import InputError

Place = str | Path
"""A URL that begins with ``postgresql://`` or ``postgres://``, or a path of a file."""

_SCHEMES = ("postgresql://", "postgres://")


def is_postgres(place: Place) -> bool:
    """Whether a place is the URL of a PostgreSQL database.

    Raises:
        InputError: it is the URL of something else.

    Example:
        >>> is_postgres("postgresql://gw@db.site-a/gigawatt"), is_postgres("store.sqlite")
        (True, False)
    """
    if isinstance(place, Path):
        return False
    if place.startswith(_SCHEMES):
        return True
    scheme, is_url, _ = place.partition("://")
    if is_url:
        raise InputError(
            f"a store cannot be at a URL of the kind {scheme!r}",
            next_step="Name a file, or postgresql://USER@HOST/DATABASE.",
        )
    return False


def name_of(place: Place) -> str:
    """What to call a place in sentences and logs: never with a password or parameters.

    Example:
        >>> name_of("postgresql://gw:secret@db.site-a:5433/gigawatt?password=secret")
        'postgresql://gw@db.site-a:5433/gigawatt'
    """
    if not is_postgres(place):
        return str(place)
    try:
        parts = urlsplit(str(place))
        user, _, where = parts.netloc.rpartition("@")
    except ValueError as error:
        raise InputError(
            "the URL of the database cannot be read", next_step=_WANTED_URL
        ) from error.with_traceback(None)
    user = unquote(user.partition(":")[0])
    return f"postgresql://{user}{'@' if user else ''}{where}{parts.path}"


_WANTED_URL = "Write postgresql://USER@HOST:PORT/DATABASE; special characters as %XX."
