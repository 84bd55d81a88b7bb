"""Clients of which half misbehave, by ``python -m tests.support.attack --clients 64 --seconds 60``.

Each good client compares every digit of its replies with the result of the same query without a server, and expects each
of them. The others send nothing, half a head, half a body, no key, nonsense, bodies that never end, and requests without
reading the reply, or they close their half, or reset.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import socket
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.support.endpoint import SAFETY, command
from tests.support.load import make_queries

LIMIT = 256  # file descriptors of the server


class Attack(NamedTuple):
    """What a run showed: replies that were not right, their number, attacks, MiB of the server, its open files."""

    wrong: list[str]
    replies: int
    attacks: int
    warm: float
    end: float
    descriptors: int
    limit: int

    def __str__(self):
        return (
            f"{self.replies} replies, {len(self.wrong)} wrong; {self.attacks} attacks; memory {self.warm:.0f} MiB after "
            f"a third of the time, {self.end:.0f} MiB at the end; at most {self.descriptors} of {self.limit} descriptors"
        )


def misbehave(dice, port, head, body):
    """Attack once."""
    content = json.dumps(body).encode()
    whole = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
    kind = dice.randrange(8)
    if kind == 0:  # many idle connections
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), SAFETY))
            time.sleep(dice.random())
        return
    with socket.create_connection(("127.0.0.1", port), SAFETY) as connection:
        if kind == 1:  # half a request
            connection.sendall(whole[: dice.randrange(len(whole))])
            time.sleep(dice.random())
        elif kind == 2:  # no key, and a body without an end
            connection.sendall(b"POST /analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n")
            for _ in range(1_000):
                connection.sendall(b" " * 65_536)
        elif kind == 3:  # nonsense
            connection.sendall(dice.randbytes(dice.randrange(1, 100_000)))
            connection.recv(65_536)
        elif kind == 4:  # many requests, and no reply is read
            for _ in range(20):
                connection.sendall(whole)
            time.sleep(dice.random())
        elif kind == 5:  # half closed
            connection.sendall(whole)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
        elif kind == 6:  # a reset
            connection.sendall(whole)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        else:  # a body that is too large
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            for _ in range(100):
                connection.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")


def run(clients, seconds):
    """Attack the server of the sample with half of the *clients*, and query it with the others."""
    known = make_queries()
    with command("--demo", "--max-peer-connections", LIMIT, ulimit=f"-n {LIMIT}") as (endpoint, process, _):
        wrong, replies, attacks, stop = [], [], [], threading.Event()
        key = f"Authorization: Bearer {endpoint.key}"
        head = f"POST /analytics HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Type: application/json\r\n"

        def attack(number):
            dice = random.Random(number)
            while not stop.is_set():
                with contextlib.suppress(OSError):  # what an attack deserves
                    misbehave(dice, endpoint.port, head, {"queries": [dice.choice(known)[0]]})
                attacks.append(number)
                time.sleep(0.05)

        def query(number):
            dice = random.Random(number)
            while not stop.is_set():
                query, expected = dice.choice(known)
                name = f"client {number} reply {len(replies)}"
                status, content = _send(endpoint, {"queries": [{**query, "name": name}]})
                replies.append(number)
                if (status, content) != (201, [{"name": name, **expected}]):
                    wrong.append(f"{query} got {status} {content}")

        def careful(act, number):
            try:
                act(number)
            except Exception as error:  # noqa: BLE001 - a thread of its own
                wrong.append(f"client {number} ended with {error!r}")

        threads = [
            threading.Thread(target=careful, args=(attack if number % 2 else query, number))
            for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        warm, most, begin = 0.0, 0, time.monotonic()
        while (now := time.monotonic() - begin) < seconds:
            if not warm and now > seconds / 3:
                warm = _memory(process.pid)
            most = max(most, len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join(SAFETY)
        return Attack(wrong, len(replies), len(attacks), warm, _memory(process.pid), most, LIMIT)


def _send(endpoint, body):
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=SAFETY)
    with contextlib.closing(connection):
        connection.request("POST", "/analytics", json.dumps(body), {
            "Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json",
        })  # fmt: skip
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())


def _memory(pid):
    """Return the resident memory of a process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def main():
    """Run it, print what it found, and fail if a good client got anything but its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    found = run(options.clients, options.seconds)
    print(found)  # noqa: T201 - the result of the command
    print(*found.wrong[:10], sep="\n")  # noqa: T201 - the result of the command
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
