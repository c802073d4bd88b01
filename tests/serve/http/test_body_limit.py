"""Bodies of requests, counted as they come."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect

from serve.http.body_limit import limit_body, read_body

DISCONNECT = {"type": "http.disconnect"}


class TooLarge(Exception):
    """What the tests want to be raised."""


def part(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


def incoming(*messages):
    """A ``receive`` of these messages, and then of the client's leaving."""
    left = list(messages)

    async def receive():
        return left.pop(0) if left else DISCONNECT

    return receive


def scope(length=None):
    return {"type": "http", "headers": [] if length is None else [(b"content-length", length)]}


def read(*messages, length=None, max_bytes=6):
    async def body():
        receive = await read_body(scope(length), incoming(*messages), max_bytes, TooLarge())
        return [await receive(), await receive()]

    return asyncio.run(body())


def test_a_body_that_comes_in_parts_is_given_as_one_and_then_what_follows():
    assert read(part(b"abc"), part(b"def", more=False)) == [part(b"abcdef", more=False), DISCONNECT]
    assert read(part(b"", more=False), length=b"0") == [part(b"", more=False), DISCONNECT]


@pytest.mark.parametrize("length", [None, b"6", b"3"])
def test_a_body_above_the_limit_is_refused_whatever_was_announced(length):
    with pytest.raises(TooLarge):
        read(part(b"abc"), part(b"defg"), length=length)


@pytest.mark.parametrize("length", [b"7", b"-1", b"abc", b"9" * 5000])
def test_a_length_that_can_not_be_is_refused_before_anything_is_read(length):
    with pytest.raises(TooLarge):
        limit_body(scope(length), incoming(), 6, TooLarge())


def test_a_client_that_leaves_in_the_middle_is_not_taken_at_half_its_word():
    with pytest.raises(ClientDisconnect):
        read(part(b"abc"))


def test_a_body_can_be_counted_without_being_held():
    async def parts():
        receive = limit_body(scope(), incoming(part(b"abc"), part(b"def"), part(b"g")), 6, TooLarge())
        assert [await receive(), await receive()] == [part(b"abc"), part(b"def")]
        with pytest.raises(TooLarge):
            await receive()

    asyncio.run(parts())
