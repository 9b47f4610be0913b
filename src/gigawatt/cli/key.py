"""``gw key``: the first key of an empty directory."""

from gigawatt.cli.server import key_app as app

__all__ = ["app"]
