"""A relay of byte streams: ``python -m gigawatt.lab.relay FROM TO``.

Each is ``tcp:ADDRESS:PORT`` or ``unix:PATH``. Two relays and a socket file between them lead from
one network namespace into another to exactly one port, where a cable would lead to all.
"""

import asyncio
import sys
from contextlib import suppress

CHUNK_BYTES = 1 << 16

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _opened(place: str) -> Streams:
    kind, _, where = place.partition(":")
    if kind == "unix":
        return await asyncio.open_unix_connection(where)
    address, _, number = where.rpartition(":")
    return await asyncio.open_connection(address, int(number))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that comes, and then its end."""
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _join(near: Streams, place: str) -> None:
    writers = [near[1]]
    with suppress(OSError):
        far = await _opened(place)
        writers.append(far[1])
        await asyncio.gather(_pour(near[0], far[1]), _pour(far[0], near[1]))
    for writer in writers:
        writer.close()


async def relay(here: str, there: str) -> None:
    """Take connections at ``here`` and lead each to ``there``, until cancelled."""
    # When one side of a connection has ended, the loop holds nothing that holds its task.
    taken: set[asyncio.Task[None] | None] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        taken.add(task)
        try:
            await _join((reader, writer), there)
        finally:
            taken.discard(task)

    kind, _, where = here.partition(":")
    if kind == "unix":
        server = await asyncio.start_unix_server(take, where)
    else:
        address, _, number = where.rpartition(":")
        server = await asyncio.start_server(take, address, int(number))
    async with server:
        await server.serve_forever()


def main() -> None:
    """Relay until killed."""
    here, there = sys.argv[1:]
    asyncio.run(relay(here, there))


if __name__ == "__main__":
    main()
