#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""continuator-malformed.py PORT: speaks HTTP/2 badly to a plain-text continuator. It must end the connection, with
the error code that RFC 9113 names where the peer got as far as the preface, and serve the next client."""

import socket
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events

PORT = int(sys.argv[1])
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
DEADLINE = 20

CODES = h2.errors.ErrorCodes


def connect():
    return socket.create_connection(("127.0.0.1", PORT), timeout=DEADLINE)


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def answer_to(sent):
    """All that the server says until it closes."""
    with connect() as sock:
        sock.sendall(sent)
        received = b""
        try:
            while chunk := sock.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


def goaway_code(received):
    """Of the GOAWAY in the server's frames, or None."""
    while len(received) >= 9:
        length, kind = int.from_bytes(received[:3], "big"), received[3]
        if kind == 7:
            return CODES(int.from_bytes(received[13:17], "big"))
        received = received[9 + length :]
    return None


def check_closed(name, sent, expected):
    code = goaway_code(answer_to(sent))
    assert code == expected, f"{name}: GOAWAY says {code}, not {expected}"
    check_serves(name)


def client():
    connection = h2.connection.H2Connection(config=h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    return connection


HEAD = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "127.0.0.1"),
    (":path", "/v1/chat/completions"),
]


def receive(sock, connection, kind):
    """Waits for an event of this kind."""
    while True:
        for event in connection.receive_data(sock.recv(65536)):
            if isinstance(event, kind):
                return event
        sock.sendall(connection.data_to_send())


def check_serves(after):
    connection = client()
    with connect() as sock:
        connection.send_headers(1, HEAD[:3] + [(":path", "/")], end_stream=True)
        sock.sendall(connection.data_to_send())
        head = dict(receive(sock, connection, h2.events.ResponseReceived).headers)
        assert head[b":status" if b":status" in head else ":status"] in (b"404", "404"), after


def check_abandoned():
    """A request that is reset in the same write, then one that is answered on the same connection."""
    body = b'{"stream":true,"max_tokens":%d,"messages":[{"role":"user","content":"hello"}]}'
    connection = client()
    with connect() as sock:
        connection.send_headers(1, HEAD)
        connection.send_data(1, body % 200, end_stream=True)
        connection.reset_stream(1, CODES.CANCEL)
        connection.send_headers(3, HEAD)
        connection.send_data(3, body % 2, end_stream=True)
        sock.sendall(connection.data_to_send())
        event = receive(sock, connection, h2.events.StreamEnded)
        assert event.stream_id == 3
    with connect() as sock:  # and one that leaves in the middle of its body
        connection = client()
        connection.send_headers(1, HEAD)
        connection.send_data(1, body[:20])
        sock.sendall(connection.data_to_send())


check_closed("HTTP/1.1", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n" * 4, None)
check_closed("noise", bytes(range(256)) * 8, None)
check_closed("oversized frame", PREFACE + SETTINGS + frame(0, 0, 1, bytes(16385)), CODES.FRAME_SIZE_ERROR)
check_closed("data on an idle stream", PREFACE + SETTINGS + frame(0, 1, 1, b"x"), CODES.PROTOCOL_ERROR)
check_closed("broken header compression", PREFACE + SETTINGS + frame(1, 5, 1, b"\xff" * 12), CODES.COMPRESSION_ERROR)
check_closed("window overflow", PREFACE + SETTINGS + frame(8, 0, 0, b"\x7f\xff\xff\xff"), CODES.FLOW_CONTROL_ERROR)
check_closed("even stream", PREFACE + SETTINGS + frame(1, 5, 2, b"\x83\x86\x84"), CODES.PROTOCOL_ERROR)
check_abandoned()
check_serves("abandoned requests")
