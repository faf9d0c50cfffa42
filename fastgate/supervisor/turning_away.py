"""How a host stops accepting without a loss: who has connected is served, who comes later is refused.

A listening socket that closes resets the connections in its queue. To their clients these are open, and a request may
be on its way on them, which a load balancer must not send again. So first the kernel is told to let nobody new in, then
the workers accept whom is in the queue, and then the socket may close. Whose first packet was thrown away meanwhile
sends it again, and is refused: a load balancer, which has sent nothing yet, asks another host.
"""

import asyncio
import ctypes
import logging
import socket
import struct
from collections.abc import Sequence
from typing import Final

HANDSHAKE_SECONDS: Final = 0.05
"""For connections whose first packet has come already to get into the queue."""
QUEUE_SECONDS: Final = 2.0
"""For the workers to empty it; one that hangs is waited for no longer."""
LOOK_SECONDS: Final = 0.005

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
_WAITING: Final = struct.Struct("=I")
_WAITING_AT: Final = 24  # offset of tcpi_unacked in struct tcp_info (linux/tcp.h): of a listening socket, its queue

_LOAD_BYTE, _AND, _JUMP_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06  # linux/bpf_common.h
_FLAGS, _SYN, _SYN_OR_ACK = 13, 0x02, 0x12  # of TCP's header
_NOBODY_NEW: Final = (
    (_LOAD_BYTE, 0, 0, _FLAGS),
    (_AND, 0, 0, _SYN_OR_ACK),
    (_JUMP_EQUAL, 0, 1, _SYN),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, 0xFFFF_FFFF),
)
"""For the kernel: throw away what begins a connection, take all else."""

log = logging.getLogger("fastgate.supervisor")


async def turn_away(listeners: Sequence[socket.socket]) -> None:
    """Let nobody new in; returns when all who are connected have been accepted, by whoever accepts on ``listeners``."""
    try:
        for listener in listeners:
            _let_nobody_in(listener)
    except OSError as error:
        log.warning("connections that are made at this moment may be reset: the kernel takes no filter: %s", error)
    await asyncio.sleep(HANDSHAKE_SECONDS)
    deadline = asyncio.get_running_loop().time() + QUEUE_SECONDS
    while any(map(_waiting, listeners)) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOOK_SECONDS)


def _let_nobody_in(listener: socket.socket) -> None:
    code = b"".join(struct.pack("=HBBI", *step) for step in _NOBODY_NEW)
    place = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(_NOBODY_NEW), ctypes.addressof(place))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _waiting(listener: socket.socket) -> int:
    """How many connections nobody has accepted yet."""
    told = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WAITING_AT + _WAITING.size)
    waiting: int = _WAITING.unpack_from(told, _WAITING_AT)[0]
    return waiting
