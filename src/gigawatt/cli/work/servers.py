"""The server."""

from gigawatt.app.home import Home
from gigawatt.app.server import serve
from gigawatt.cli.work.connect import APPLICATION


def serve_home(listen: str, grace_s: float) -> None:
    """Serve until told to stop."""
    serve(Home.default(), listen, APPLICATION, grace_s=grace_s)
