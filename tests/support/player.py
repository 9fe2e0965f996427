#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""A cloud that plays scenario files (see scenario.py), many of them at once and over four transports.

It listens on free ports of 127.0.0.1 and prints what it sees as h2server.py does, with a first line of its own:

    {"t_us": 81237, "event": "listening", "h2": 40123, "h2c": 40124, "1.1": 40125, "plain": 40126}

h2 is TLS that offers HTTP/2 and 1.1, h2c HTTP/2 by prior knowledge, 1.1 TLS without HTTP/2, plain HTTP/1.1 in the
clear. A request's path says what is played to it, and how its body is cut:

    /RUN/SCENARIO/CUT/ENDPOINT/...

RUN is any name; requests with the same RUN and ENDPOINT get one answer after the other. SCENARIO counts the
scenarios of all files from 0. CUT is `written` (each line one write), `bytes` (each byte), or a number: all in one
piece but for a cut behind so many bytes."""
import argparse
import asyncio
import email.utils
import re
import ssl
import time

import h2server
import scenario

SURPLUS = {"status": 500, "headers": {"x-should-retry": "false"}, "steps": ["one request too many"]}


def joined(steps):
    """Writes that follow each other made one."""
    made = []
    for step in steps:
        if set(step) == {"hex"} and made and set(made[-1]) == {"hex"}:
            made[-1] = {"hex": made[-1]["hex"] + step["hex"]}
        else:
            made.append(step)
    return made


def cut(steps, where):
    """The same bytes in other pieces."""
    if where == "written":
        return steps
    made, at = [], 0
    for step in joined(steps):
        if set(step) != {"hex"}:
            made.append(step)
            continue
        written = bytes.fromhex(step["hex"])
        size = 1 if where == "bytes" else len(written)
        first = int(where) - at if where != "bytes" and at < int(where) < at + len(written) else size
        starts = [0, *range(first, len(written), size)]
        made += [{"hex": written[a:b].hex()} for a, b in zip(starts, [*starts[1:], len(written)])]
        at += len(written)
    return made


def dated(value):
    """{date+N} is N seconds from now."""
    match = re.fullmatch(r"\{date\+(\d+)\}", value)
    return email.utils.formatdate(time.time() + int(match[1]), usegmt=True) if match else value


class Play:
    """What h2server's streams ask for their answers."""

    def __init__(self, scenarios):
        self.scenarios, self.used = scenarios, {}

    def take(self, headers):
        _, run, index, where, endpoint, *_ = headers[":path"].split("/")
        answers = self.scenarios[int(index)]["answers"].get(endpoint, [])
        used = self.used.get((run, endpoint), 0)
        self.used[run, endpoint] = used + 1
        if used >= len(answers) and not (answers and answers[-1].get("always")):
            return SURPLUS
        answer = answers[min(used, len(answers) - 1)]
        values = {name: dated(value) for name, value in answer["headers"].items()}
        return {**answer, "headers": values, "steps": cut(answer["steps"], where)}


class Server:
    def __init__(self, options):
        self.options, self.play, self.n_connections = options, Play(scenario.read_all(options.files)), 0

    async def on_connection(self, protocol, reader, writer):
        self.n_connections += 1
        number, tls = self.n_connections, writer.get_extra_info("ssl_object")
        protocol = tls.selected_alpn_protocol() if tls else protocol
        h2server.log("connection", connection=number, protocol=protocol)
        kind = h2server.Http2Connection if protocol == "h2" else h2server.Http1Stream
        talker = kind(number, self.play, reader, writer)
        try:
            await talker.run()
        except (h2server.Gone, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        talker.stop()
        writer.close()
        h2server.log("closed", connection=number)

    async def listen(self, protocol, alpn):
        context = None
        if alpn:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self.options.tls)
            context.set_alpn_protocols(alpn)
        server = await asyncio.start_server(
            lambda reader, writer: self.on_connection(protocol, reader, writer), "127.0.0.1", 0, ssl=context
        )
        return server.sockets[0].getsockname()[1], server

    async def run(self):
        transports = {
            "h2": ("h2", ["h2", "http/1.1"]),
            "h2c": ("h2", None),
            "1.1": ("http/1.1", ["http/1.1"]),
            "plain": ("http/1.1", None),
        }
        listening = {name: await self.listen(*how) for name, how in transports.items()}
        h2server.log("listening", **{name: port for name, (port, _) in listening.items()})
        await asyncio.Event().wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="scenario files")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), required=True)
    asyncio.run(Server(parser.parse_args()).run())


if __name__ == "__main__":
    main()
