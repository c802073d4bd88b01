"""A limit on the length of request bodies, for ASGI middleware.

Starlette limits the parts of a form only, and uvicorn nothing; a proxy in front is not there on loopback.
"""

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

MAX_LENGTH_DIGITS = 18


def limit_body(scope: Scope, receive: Receive, max_bytes: int, error: Exception) -> Receive:
    """``receive``, which raises ``error`` once more than ``max_bytes`` bytes of the body have come.

    Raises:
        error: the Content-Length header announces more, or is not a number.
    """
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if not length.isdigit() or len(length) > MAX_LENGTH_DIGITS or int(length) > max_bytes:
        raise error
    left = max_bytes

    async def limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise error
        return message

    return limited


async def read_body(scope: Scope, receive: Receive, max_bytes: int, error: Exception) -> Receive:
    """Read the whole body; returns a ``receive`` that yields it in one message, and after it what follows.

    Raises:
        error: the body has more than ``max_bytes`` bytes; the rest is not read.
        ClientDisconnect: the client is gone before the end of the body.
    """
    limited = limit_body(scope, receive, max_bytes, error)
    body, more = bytearray(), True
    while more:
        message = await limited()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
    unread = [bytes(body)]

    async def replayed() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replayed
