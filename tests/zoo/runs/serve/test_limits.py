"""No client can make the server run out of memory, or keep it from answering the others."""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from peak_memory import read_peak, reset_peak
from served import Served

SLOW = 200
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients have one second."""
    monkeypatch.setenv("ZOO_MAX_REQUEST_SECONDS", "1")


def read_all(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    found = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            found += data
    return found


def draw_bomb(side: int) -> bytes:
    """Return a valid PNG whose pixels are one bit each, all of them black."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(side * (1 + side // 8)))
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_declared_gigabyte_is_refused_before_it_is_read(served: Served) -> None:
    sent, block = 0, bytes(2**20)
    with served.connect() as connection:
        connection.sendall(POST % 2**30)
        with suppress(ConnectionError):  # The server closes the connection.
            while sent < 2**30:
                sent += connection.send(block)
    assert sent < 2**26


@pytest.mark.breadth
def test_the_refusal_of_a_large_upload_reaches_the_client(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(POST % 2**30)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"1,073,741,824 bytes, but ZOO_MAX_UPLOAD_BYTES allows only 20,971,520" in answer


def test_a_client_that_sends_all_before_it_reads_gets_the_refusal(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_UPLOAD_BYTES", "1000")
    assert [served.predict(bytes(900_000)).status for _ in range(20)] == [413] * 20


def test_an_upload_of_unknown_size_is_refused_at_the_limit(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_UPLOAD_BYTES", "100000")
    read = []

    def endless() -> Iterator[bytes]:
        for _ in range(2**14):
            read.append(1)
            yield bytes(2**16)

    with suppress(ConnectionError):
        assert served.predict(endless()).status == 413
    assert len(read) < 2**10


def test_a_decompression_bomb_is_refused_without_decoding_it(served: Served) -> None:
    bomb = draw_bomb(20_000)
    assert len(bomb) < 100_000
    before = reset_peak()
    answered = served.predict(bomb)
    assert answered.status == 422
    assert "400,000,000 pixels, but ZOO_MAX_PIXELS allows only" in answered.parse()["error"]
    assert read_peak() - before < 2**26


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "begun", [b"GET / HT", *(pytest.param(begun, marks=pytest.mark.breadth) for begun in (b"", POST[:40]))]
)
def test_a_client_that_does_not_send_its_headers_is_given_up(served: Served, begun: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(begun)
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.breadth
@pytest.mark.usefixtures("short")
def test_the_limit_holds_for_every_request_of_a_connection(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        connection.sendall(b"GET /info HT")
        assert b"HTTP/1.1 408 " in read_all(connection)


@pytest.mark.usefixtures("short")
def test_a_client_that_does_not_send_its_image_is_given_up(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(POST % 1000 + bytes(500))
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"sending the image took more than 1 seconds" in answer


def test_too_many_connections_are_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_CLIENTS", "3")
    with ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(served.connect())
            connection.sendall(POST % 5)
        with served.connect() as refused:
            assert read_all(refused).startswith(b"HTTP/1.1 503 ")
        connection.sendall(b"no im")  # The others are still served.
        assert connection.recv(13) == b"HTTP/1.1 422 "


def test_the_memory_of_all_uploads_is_limited(served: Served, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_WAITING_BYTES", "100000")
    with served.connect() as connection:
        connection.sendall(POST % 100_000 + bytes(95_000))
        answered = served.predict(bytes(90_000))
        while answered.status != 503:  # The server has not read all of the first upload yet.
            answered = served.predict(bytes(90_000))
        assert answered.headers["retry-after"] == "5"
    while served.predict(photo).status != 200:  # The server has not noticed yet that the first client is gone.
        pass


def test_clients_are_answered_while_200_others_are_slow(served: Served, photo: bytes) -> None:
    before = reset_peak()
    with ExitStack() as stack:
        for number in range(SLOW):
            connection = stack.enter_context(served.connect())
            connection.sendall(POST[:30] if number % 2 else POST % 10_000 + bytes(5_000))
        assert [served.predict(photo).status for _ in range(5)] == [200] * 5
    assert read_peak() - before < 2**26


def test_nothing_is_written_to_disk(served: Served, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    original = open
    monkeypatch.setattr("builtins.open", lambda *given, **named: opened.append(given) or original(*given, **named))
    assert served.predict(photo).status == 200
    assert [given for given in opened if len(given) > 1 and set(str(given[1])) & set("wax+")] == []
