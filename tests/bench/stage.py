# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Starts what a measurement needs (a private bus, the continuator, mulmd, llama.cpp's server) and ends it again."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build")
MODEL = os.path.join(ROOT, "models", "mulm-28m.q8_0.gguf")
DEADLINE_S = 30


class Failed(Exception):
    """Something could not be started or measured; says what."""


class Stage(contextlib.ExitStack):
    """A scratch folder and the processes that write their logs into it."""

    def __enter__(self):
        super().__enter__()
        self.scratch = self.enter_context(tempfile.TemporaryDirectory(prefix="mulm-bench."))
        return self

    def path(self, name):
        return os.path.join(self.scratch, name)

    def start(self, name, *command, **options):
        with open(self.path(name + ".err"), "w", encoding="utf-8") as errors:
            process = subprocess.Popen(command, stderr=errors, text=True, **options)
        self.callback(end, process)
        return process

    def log(self, name):
        with open(self.path(name + ".err"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def first_line(self, name, *command):
        """Starts a program that says on stdout, in one line, that it is ready."""
        process = self.start(name, *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        line = process.stdout.readline().strip()
        if not line:
            raise Failed(f"{name} did not start: {self.log(name).strip()}")
        return process, line

    def wait(self, name, process, ready):
        deadline = time.monotonic() + DEADLINE_S
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{name} did not start: {self.log(name).strip()[-2000:]}")
            time.sleep(0.02)

    def bus(self):
        """The address of a private bus."""
        return self.first_line(
            "dbus-daemon",
            "dbus-daemon",
            f"--config-file={ROOT}/tests/support/bus.conf",
            f"--address=unix:path={self.path('bus')}",
            "--nofork",
            "--print-address",
        )[1]

    def certificate(self):
        paths = self.path("certificate.pem"), self.path("key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days"]
            + ["1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
            + ["-out", paths[0], "-keyout", paths[1]],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        return paths

    def continuator(self, certificate, key):
        """Its URL. It answers at once and shortly, so that it is idle when the next question is asked."""
        command = [f"{BUILD}/tests/continuator/continuator", "--model", MODEL, "--tls", certificate, key]
        line = self.first_line("continuator", *command, "--max-tokens", "4", "--trace")[1]
        return line.removeprefix("listening on ")

    def scripted_cloud(self, certificate, key, scenario):
        """The URL of a server that plays a scenario of tests/support/h2server.py."""
        script = os.path.join(ROOT, "tests", "support", "h2server.py")
        line = self.first_line("h2server", script, json.dumps(scenario), "--tls", certificate, key)[1]
        return f"https://127.0.0.1:{json.loads(line)['port']}/v1"

    def config(self, url, certificate, threads):
        config = self.path("mulmd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(
                f"[Model]\nPath={MODEL}\nThreads={threads}\n[Cloud]\nEndpoints=continuator\n"
                f"[Endpoint continuator]\nURL={url}\nModel=any\nCAFile={certificate}\n"
            )
        return config

    def ready_ms(self, address, url, certificate, threads):
        """From the start of a mulmd to its READY=1; ends it again."""
        config = self.config(url, certificate, threads)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(self.path("notify"))
            notified.settimeout(DEADLINE_S)
            environment = {**os.environ, "NOTIFY_SOCKET": self.path("notify")}
            start = time.monotonic()
            command = [f"{BUILD}/daemon/mulmd", "--address", address, "--config", config]
            process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            try:
                while b"READY=1" not in notified.recv(4096).split(b"\n"):
                    pass
                return (time.monotonic() - start) * 1000
            except TimeoutError as error:
                raise Failed("mulmd did not become ready") from error
            finally:
                end(process)
                os.unlink(self.path("notify"))

    def mulmd(self, address, url, certificate, threads):
        config = self.config(url, certificate, threads)
        process = self.start("mulmd", f"{BUILD}/daemon/mulmd", "--address", address, "--config", config)
        status = [f"{BUILD}/dbus/mulmctl", "--address", address, "status"]
        self.wait("mulmd", process, lambda: subprocess.run(status, capture_output=True, check=False).returncode == 0)
        return process

    def llama_server(self, folder, threads):
        """Its URL."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        command = [f"{folder}/llama-server", "-m", MODEL, "--port", str(port), "-c", "2048", "-np", "1"]
        process = self.start(
            "llama-server", *command, "-t", str(threads), "-tb", str(threads), stdout=subprocess.DEVNULL
        )
        self.wait("llama-server", process, lambda: answers(url + "/health"))
        return url

    def clock(self, name, *arguments):
        """A client that takes questions and gives numbers, line by line."""
        command = [f"{BUILD}/tests/bench/{name}", *arguments]
        return self.start(name, *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def llama_folder():
    """Where llama.cpp's programs are, or None; why not is said on stderr."""
    done = subprocess.run([f"{ROOT}/tests/support/build-llama"], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def output_of(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def machine():
    """What numbers depend on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = re.findall(r"^model name\s*:\s*(.*)$", file.read(), re.MULTILINE)
    return {
        "processor": names[0] if names else os.uname().machine,
        "processors": os.cpu_count(),
        "kernel": os.uname().release,
        "load": round(os.getloadavg()[0], 2),
        "python": sys.version.split()[0],
    }
