"""The client of the service, and the documents that it and the service exchange."""

from gigawatt.sdk.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]
