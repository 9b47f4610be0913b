"""``python -m gigawatt.lab.machine.media FOLDER ADDRESS PORT``: serves boot media to BMCs.

Only files of ``FOLDER`` by their whole name; there is no listing, so what nobody can guess nobody
can fetch. ``media_server`` is the same within a process.
"""

import shutil
import sys
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typing_extensions import override

SILENCE_S_MAX = 30.0
"""A connection on which nothing comes is closed after so long. Ours."""


class _Handler(BaseHTTPRequestHandler):
    """One request for a file."""

    def __init__(self, folder: Path, *words: object) -> None:
        self._folder = folder
        super().__init__(*words)  # type: ignore[arg-type]

    @override
    def setup(self) -> None:
        """Be patient with a connection, but not for ever."""
        self.request.settimeout(SILENCE_S_MAX)
        super().setup()

    def do_GET(self) -> None:
        """Send the file, if there is one of this name."""
        name = self.path.removeprefix("/")
        path = self._folder / name
        if not name or "/" in name or name.startswith(".") or not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with path.open("rb") as file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile)

    @override
    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing: names are secret as long as they are there."""

    @override
    def log_error(self, format: str, *words: object) -> None:
        """Say nothing, for the same reason."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    """All nodes of a lab may boot at once."""


def media_server(folder: Path, ipv4: str, tcp_port: int) -> ThreadingHTTPServer:
    """A server that listens; ``serve_forever`` serves. Port 0 takes any free one."""
    return _Server((ipv4, tcp_port), partial(_Handler, folder))


def main() -> None:
    """Serve until killed."""
    folder, ipv4, tcp_port = sys.argv[1:]
    media_server(Path(folder), ipv4, int(tcp_port)).serve_forever()


if __name__ == "__main__":
    main()
