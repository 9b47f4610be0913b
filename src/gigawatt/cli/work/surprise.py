"""The log of what nobody foresaw."""

import traceback
from datetime import UTC, datetime

from gigawatt.app.clock import SystemClock
from gigawatt.app.home import Home
from gigawatt.errors import GigawattError


def log_traceback(error: Exception) -> str:
    """Append the traceback to the log of the home, and say where that is."""
    home = Home.default()
    lines = "".join(traceback.format_exception(error))
    at = datetime.fromtimestamp(SystemClock().now_s(), UTC).isoformat(timespec="seconds")
    try:
        home.make()
        with home.log_path.open("a", encoding="utf-8") as log:
            log.write(f"{at} {lines}")
    except (OSError, GigawattError):
        return "the output of the same command"
    return str(home.log_path)
