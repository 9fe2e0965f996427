#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""A scripted cloud: an HTTP/2 and HTTP/1.1 server that answers, stutters and breaks as a scenario says.

It listens on a free port of 127.0.0.1, or of --address, and prints what it sees as JSON lines, the first of them with the port:

    {"t_us": 81237, "event": "listening", "port": 40123}
    {"t_us": ..., "event": "connection", "connection": 1, "protocol": "h2"}
    {"t_us": ..., "event": "request", "connection": 1, "stream": 1, "headers": {":method": "POST", ...}}
    {"t_us": ..., "event": "body", "connection": 1, "stream": 1, "path": "/v1/...", "n": 812, "body": "..."}
    {"t_us": ..., "event": "reset", "connection": 1, "stream": 1, "code": 8}
    {"t_us": ..., "event": "ping", "connection": 1}
    {"t_us": ..., "event": "closing", "connection": 1}    by the scenario
    {"t_us": ..., "event": "closed", "connection": 1}     by either side

t_us is CLOCK_MONOTONIC in microseconds, the clock of timers_now_us(). Of a body above 4096 bytes the last 4096 are
printed, so that nobody need read while it writes. A scenario (a file, or JSON given inline) is a
list of answers: the first request gets the first, and so on; the last one is for all that follow. An answer:

    {"at": "headers",                  when to begin: "headers" or "body" (default: the whole request is there)
     "status": 200, "headers": {...},  content-type is text/event-stream where none is given
     "bare": true,                     without either: for a stream that ends before it has begun
     "steps": [...]}                   then, in order; the body ends after the last step unless that ends it otherwise

    "text"              written and flushed as one DATA frame or chunk
    {"hex": "efbbbf"}   the same, from bytes
    {"wait": 50}        milliseconds
    {"every": 50, "hex": "3a0a0a"}   these bytes again and again, until the client leaves
    {"reset": 2}        RST_STREAM with this code; a TCP reset on HTTP/1.1
    {"goaway": 0, "last": 1}   GOAWAY; the stream goes on
    {"close": "clean"}  end of the connection: "clean" (FIN, with TLS's close_notify) or "abort" (TCP reset)
    {"signal": true}    waits for a SIGUSR1, unless one has come already
    {"end": true}       end of the body; what follows is done to a connection that the client keeps
    {"stall": true}     nothing more, until the client leaves
"""
import argparse
import asyncio
import json
import os
import signal
import ssl
import sys
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from hyperframe.frame import GoAwayFrame

FRAME_MAX = 16384
BODY_SHOWN = 4096
SHUTDOWN_SEC = 0.1  # for the client's part of it; servers do not wait


def log(event, **fields):
    print(json.dumps({"t_us": time.monotonic_ns() // 1000, "event": event, **fields}), flush=True)


def log_body(connection, stream, body, path):
    shown = body[-BODY_SHOWN:].decode(errors="replace")
    log("body", connection=connection, stream=stream, path=path, n=len(body), body=shown)


class Gone(Exception):
    """The answer is over: its stream or its connection has ended."""


class Scenario:
    def __init__(self, text):
        if not text.lstrip().startswith("["):
            with open(text, encoding="utf-8") as file:
                text = file.read()
        self.answers = json.loads(text)
        self.used = 0
        self.signal = asyncio.Event()

    def take(self, _headers):
        """The answer to a request with these headers."""
        answer = self.answers[min(self.used, len(self.answers) - 1)]
        self.used += 1
        return answer


async def play(answer, stream):
    """Performs one answer on a stream of either protocol."""
    headers = {"content-type": "text/event-stream", **answer.get("headers", {})}
    ended = False
    if not answer.get("bare"):
        await stream.start(answer.get("status", 200), headers)
    for step in answer.get("steps", []):
        if isinstance(step, str):
            await stream.write(step.encode())
        elif "every" in step:
            while True:
                await stream.write(bytes.fromhex(step["hex"]))
                await asyncio.sleep(step["every"] / 1000)
        elif "hex" in step:
            await stream.write(bytes.fromhex(step["hex"]))
        elif "wait" in step:
            await asyncio.sleep(step["wait"] / 1000)
        elif "reset" in step:
            await stream.reset(step["reset"])
            return
        elif "goaway" in step:
            await stream.goaway(step["goaway"], step.get("last", 2**31 - 1))
        elif "close" in step:
            stream.close(step["close"])
            return
        elif "end" in step:
            await stream.end()
            ended = True
        elif "signal" in step:
            await stream.scenario.signal.wait()
        elif "stall" in step:
            await stream.stall()
        else:
            sys.exit(f"unknown step: {step}")
    if not ended:
        await stream.end()


def close_writer(writer, how):
    if how == "abort":
        writer.transport.abort()
    else:
        writer.close()


class Http2Stream:
    def __init__(self, connection, number, headers):
        self.connection, self.number, self.scenario = connection, number, connection.scenario
        self.answer, self.path = self.scenario.take(headers), headers[":path"]
        self.body = b""
        self.task = None

    def begin(self, at):
        if self.answer.get("at", "body") == at:
            self.task = asyncio.create_task(self.run())

    async def run(self):
        try:
            await play(self.answer, self)
        except (Gone, ConnectionError, h2.exceptions.ProtocolError):
            pass

    async def start(self, status, headers):
        self.connection.h2.send_headers(self.number, [(":status", str(status)), *headers.items()])
        await self.connection.flush()

    async def write(self, data):
        while data:
            window = self.connection.h2.local_flow_control_window(self.number)
            if window <= 0:
                self.connection.window.clear()
                await self.connection.window.wait()
                continue
            part, data = data[: min(window, FRAME_MAX)], data[min(window, FRAME_MAX):]
            self.connection.h2.send_data(self.number, part)
            await self.connection.flush()

    async def reset(self, code):
        self.connection.h2.reset_stream(self.number, code)
        await self.connection.flush()

    async def goaway(self, code, last):
        frame = GoAwayFrame(0, last_stream_id=last, error_code=code)
        self.connection.writer.write(frame.serialize())
        await self.connection.flush()

    def close(self, how):
        close_writer(self.connection.writer, how)
        log("closing", connection=self.connection.number)

    async def stall(self):
        await asyncio.Event().wait()

    async def end(self):
        self.connection.h2.end_stream(self.number)
        await self.connection.flush()


class Http2Connection:
    def __init__(self, number, scenario, reader, writer):
        self.number, self.scenario, self.reader, self.writer = number, scenario, reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.window = asyncio.Event()
        self.streams = {}

    async def flush(self):
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    def on_event(self, event):
        if isinstance(event, h2.events.RequestReceived):
            headers = dict(event.headers)
            stream = self.streams[event.stream_id] = Http2Stream(self, event.stream_id, headers)
            log("request", connection=self.number, stream=stream.number, headers=headers)
            stream.begin("headers")
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id].body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream = self.streams[event.stream_id]
            log_body(self.number, stream.number, stream.body, stream.path)
            stream.begin("body")
        elif isinstance(event, h2.events.StreamReset):
            log("reset", connection=self.number, stream=event.stream_id, code=int(event.error_code))
            if self.streams[event.stream_id].task:
                self.streams[event.stream_id].task.cancel()
        elif isinstance(event, h2.events.PingReceived):
            log("ping", connection=self.number)
        elif isinstance(event, h2.events.WindowUpdated):
            self.window.set()

    async def run(self):
        self.h2.initiate_connection()
        await self.flush()
        while data := await self.reader.read(65536):
            try:
                events = self.h2.receive_data(data)
            except h2.exceptions.ProtocolError as error:
                log("error", connection=self.number, message=str(error))
                break
            for event in events:
                self.on_event(event)
            await self.flush()

    def stop(self):
        for stream in self.streams.values():
            if stream.task:
                stream.task.cancel()


class Http1Stream:
    """One request after the other on a connection; the body of an answer is always chunked."""

    def __init__(self, number, scenario, reader, writer):
        self.number, self.scenario, self.reader, self.writer = number, scenario, reader, writer

    async def read_body(self, headers):
        if "chunked" not in headers.get("transfer-encoding", ""):
            return await self.reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body

    async def run(self):
        while line := await self.reader.readline():
            headers = dict(zip((":method", ":path", ":version"), line.decode().split()))
            while (line := await self.reader.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            log("request", connection=self.number, stream=0, headers=headers)
            answer = self.scenario.take(headers)
            if answer.get("at", "body") == "headers":
                await play(answer, self)
            body = await self.read_body(headers)
            log_body(self.number, 0, body, headers[":path"])
            if answer.get("at", "body") == "body":
                await play(answer, self)

    async def start(self, status, headers):
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        self.writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode())
        await self.writer.drain()

    async def write(self, data):
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self.writer.drain()

    async def reset(self, _code):
        self.close("abort")

    async def goaway(self, _code, _last):
        sys.exit("HTTP/1.1 has no GOAWAY")

    def close(self, how):
        close_writer(self.writer, how)
        raise Gone

    async def stall(self):
        while await self.reader.read(65536):
            pass
        raise Gone

    async def end(self):
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def stop(self):
        pass


class Server:
    def __init__(self, options):
        self.options, self.scenario, self.n_connections = options, Scenario(options.scenario), 0

    async def talk_raw(self, reader, writer):
        """No HTTP at all: these bytes, or silence, whatever comes."""
        if self.options.raw:
            writer.write(self.options.raw.encode().decode("unicode_escape").encode("latin-1"))
            await writer.drain()
        while await reader.read(65536):
            pass

    async def on_connection(self, reader, writer):
        self.n_connections += 1
        number = self.n_connections
        tls = writer.get_extra_info("ssl_object")
        protocol = tls.selected_alpn_protocol() if tls else {"2": "h2", "1.1": "http/1.1"}[self.options.http]
        log("connection", connection=number, protocol=protocol)
        talker = None
        try:
            if self.options.raw is not None:
                await self.talk_raw(reader, writer)
            else:
                kind = Http2Connection if protocol == "h2" else Http1Stream
                talker = kind(number, self.scenario, reader, writer)
                await talker.run()
        except (Gone, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        if talker:
            talker.stop()
        writer.close()
        log("closed", connection=number)

    async def run(self):
        context = None
        if self.options.tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self.options.tls)
            context.set_alpn_protocols({"2": ["h2"], "1.1": ["http/1.1"]}[self.options.http])
        server = await asyncio.start_server(self.on_connection, self.options.address, 0, ssl=context, ssl_shutdown_timeout=SHUTDOWN_SEC if context else None)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.scenario.signal.set)
        log("listening", port=server.sockets[0].getsockname()[1])
        await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", help="file or JSON")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    parser.add_argument("--http", choices=("2", "1.1"), default="2", help="by ALPN with TLS, else by prior knowledge")
    parser.add_argument("--address", default="127.0.0.1", help="to listen on")
    parser.add_argument("--raw", metavar="TEXT", help="say this (or nothing, if empty) instead of speaking HTTP")
    try:
        asyncio.run(Server(parser.parse_args()).run())
    except KeyboardInterrupt:
        os._exit(0)


if __name__ == "__main__":
    main()
