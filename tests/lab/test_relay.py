"""Goal: a relay leads every byte both ways, and the end of a stream too; a dead end closes.

Method: relays in this process on loopback and over a socket file, with a server that answers when
its client has ended what it says.
"""

import asyncio
from contextlib import asynccontextmanager

from gigawatt.lab.relay import relay


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    said = await reader.read()
    writer.write(said[::-1])
    await writer.drain()
    writer.close()


async def _ask(opening, said: bytes) -> bytes:
    reader, writer = await opening
    writer.write(said)
    await writer.drain()
    writer.write_eof()
    found = await reader.read()
    writer.close()
    return found


@asynccontextmanager
async def _relays(*pairs: tuple[str, str]):
    tasks = [asyncio.create_task(relay(here, there)) for here, there in pairs]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_open(path):
    for _ in range(10_000):
        try:
            _, writer = await asyncio.open_unix_connection(path)
        except OSError:
            # A socket has a file before anybody listens there.
            await asyncio.sleep(0)
        else:
            writer.close()
            return
    raise AssertionError(f"{path} does not open")


def test_two_relays_and_a_socket_file_lead_to_a_server(tmp_path):
    async def run() -> list[bytes]:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0)
        number = server.sockets[0].getsockname()[1]
        outer, meeting = tmp_path / "outer", tmp_path / "meeting"
        pairs = (f"unix:{outer}", f"unix:{meeting}"), (f"unix:{meeting}", f"tcp:127.0.0.1:{number}")
        async with server, _relays(*pairs):
            for path in (outer, meeting):
                await _until_open(path)
            said = [b"a" * n + b"b" for n in (0, 1, 1 << 20)]
            asked = (_ask(asyncio.open_unix_connection(outer), one) for one in said)
            assert await asyncio.gather(*asked) == [one[::-1] for one in said]
            return said

    assert len(asyncio.run(run())) == 3


def test_a_dead_end_closes_and_others_go_on(tmp_path):
    async def run() -> tuple[bytes, bytes]:
        here, there = tmp_path / "here", tmp_path / "there"
        async with _relays((f"unix:{here}", f"unix:{there}")):
            await _until_open(here)
            first = await _ask(asyncio.open_unix_connection(here), b"")
            server = await asyncio.start_unix_server(_answer, there)
            async with server:
                return first, await _ask(asyncio.open_unix_connection(here), b"xy")

    assert asyncio.run(run()) == (b"", b"yx")
