"""A TCP connection that goes wrong, between the service and whatever it talks to on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Self

from bot.supervisor import free_port


class FaultProxy:
    """Passes bytes on to `target`; `async with FaultProxy(port) as proxy`, then change it while it runs.

    `latency` is seconds before each piece of an answer; `refuse` resets new connections; `cut` is how many more
    answers break, of requests that hold `cut_of`: the request gets through, of its answer only `cut_after` bytes do.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = free_port()
        self.latency = 0.0
        self.refuse = False
        self.cut = 0
        self.cut_of = b""
        self.cut_after = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where the service is to be sent."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def reset(self) -> None:
        """Every open connection is reset."""
        for writer in list(self._open):
            _reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            _reset(writer)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        self._open |= {writer, back}
        asked = bytearray()
        for pump in (self._pass_on(reader, back, asked), self._answer(there, writer, back, asked)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytearray) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                asked += piece
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter, asked: bytearray
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                if self.latency:
                    await asyncio.sleep(self.latency)
                if self.cut and self.cut_of in asked:
                    self.cut -= 1
                    writer.write(piece[: self.cut_after])
                    await writer.drain()
                    _reset(writer)
                    break
                asked.clear()
                writer.write(piece)
                await writer.drain()
        for one in (writer, back):
            self._open.discard(one)
            one.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a machine does that lost power or a firewall that lost patience."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
