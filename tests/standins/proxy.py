"""A proxy before PostgreSQL that can hang: it keeps every connection and forwards nothing more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

HOST = "127.0.0.1"
CHUNK = 1 << 16


class Proxy:
    """Forwards bytes between a port and a socket file, unless it is told to hang."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._going = asyncio.Event()
        self._going.set()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def hang(self) -> None:
        """Forward nothing more; what was opened stays open, what is new is taken."""
        self._going.clear()

    def go_on(self) -> None:
        """Forward again, also what came meanwhile."""
        self._going.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen until the end of the block."""
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back: asyncio.StreamWriter | None = None
        try:
            there, back = await asyncio.open_unix_connection(self._path)
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        except OSError:
            pass  # one of the two has gone
        finally:
            for one in filter(None, (writer, back)):
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._going.wait()
            writer.write(data)
            await writer.drain()
        await self._going.wait()
        writer.close()
