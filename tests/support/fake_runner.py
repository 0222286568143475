"""A runner that misbehaves on request, for tests of the orchestrator's side. Standard library only; run as a
script.

The first argument is how it behaves as a process; afterwards each request's function name says what to do
with it. The address comes as a real runner gets it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

Message = dict[str, Any]


def main() -> None:
    """Behave as asked."""
    how = sys.argv[1]
    if how == "exit0":
        return
    if how == "raise":
        raise ModuleNotFoundError("No module named 'nowhere'")
    if how == "never-listens":
        time.sleep(600)
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--stdio" in sys.argv:
        Runner(how, sys.stdin.buffer, sys.stdout.buffer, lines=True).serve()
        return
    connection = accept()
    if how == "deaf":
        time.sleep(600)
    streams = connection.makefile("rb"), connection.makefile("wb")
    Runner(how, *streams, lines=False, connection=connection).serve()


def accept() -> socket.socket:
    """Listen where the environment says, and take one connection."""
    path, tcp = os.environ.get("RRQ_RUNNER_SOCKET"), os.environ.get("RRQ_RUNNER_TCP_SOCKET")
    if path:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
    else:
        assert tcp is not None
        host, _, port = tcp.rpartition(":")
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
    listener.listen()
    return listener.accept()[0]


class Runner:
    """Answers one request after the other."""

    def __init__(
        self,
        how: str,
        reading: BinaryIO,
        writing: BinaryIO,
        *,
        lines: bool,
        connection: socket.socket | None = None,
    ) -> None:
        self.how, self.reading, self.writing, self.lines = how, reading, writing, lines
        self.connection = connection
        self.held: dict[str, Message] = {}

    def serve(self) -> None:
        """Answer until the end of the stream."""
        if self.how.startswith("hello="):
            hello = {"runtime": "fake", "version": "0", "max_in_flight": int(self.how.partition("=")[2])}
            if "--ping" in sys.argv:
                hello["extensions"] = ["ping"]
            self.send({"type": "hello", "payload": hello})
        if self.how == "hangs-up":
            return
        while (message := self.receive()) is not None:
            if message["type"] == "cancel":
                self.cancelled(message["payload"])
            elif message["type"] == "ping":
                self.send({"type": "pong", "payload": message["payload"]})
            else:
                self.execute(message["payload"])

    def receive(self) -> Message | None:
        """Return the next message, None at the end."""
        if self.lines:
            body = self.reading.readline()
        else:
            header = self.reading.read(4)
            body = self.reading.read(int.from_bytes(header, "big")) if header else b""
        return json.loads(body) if body else None

    def send(self, message: Message) -> None:
        """Send one message."""
        body = json.dumps(message).encode()
        self.raw(body + b"\n" if self.lines else len(body).to_bytes(4, "big") + body)

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        self.writing.write(data)
        self.writing.flush()

    def succeed(self, request: Message, result: Any = None, **other: Any) -> None:
        """Answer a request."""
        ids = {"request_id": request["request_id"], "job_id": request["job_id"]}
        self.send({"type": "response", "payload": {**ids, "status": "success", "result": result, **other}})

    def cancelled(self, cancel: Message) -> None:
        """Answer the held request that a cancel frame names."""
        request = self.held.pop(cancel.get("request_id", ""), None)
        if request is not None:
            self.succeed(request, {"cancelled": True, "hard": cancel["hard_kill"]})

    def execute(self, request: Message) -> None:
        """Do what the function's name says."""
        name = request["function_name"]
        action: Callable[[Message], None] | None = getattr(self, f"do_{name}", None)
        if action is None:
            self.succeed(request, request["params"])
        else:
            action(request)

    def do_hold(self, request: Message) -> None:
        """Answer only when cancelled."""
        self.held[request["request_id"]] = request

    def do_free(self, request: Message) -> None:
        """Answer this one and all that are held."""
        for each in (*self.held.values(), request):
            self.succeed(each)
        self.held.clear()

    def do_exit(self, request: Message) -> None:
        """End with the given code."""
        os._exit(request["params"]["code"])

    def do_answer_then_exit(self, request: Message) -> None:
        """Answer, then end before anybody can have read it."""
        self.succeed(request)
        os._exit(1)

    def do_kill(self, request: Message) -> None:
        """End by a signal."""
        os.kill(os.getpid(), signal.SIGKILL)

    def do_hang_up(self, request: Message) -> None:
        """Close the connection, and go on working."""
        assert self.connection is not None
        self.connection.shutdown(socket.SHUT_RDWR)
        time.sleep(600)

    def do_block(self, request: Message) -> None:
        """Do nothing else for long."""
        time.sleep(600)

    def do_stall(self, request: Message) -> None:
        """Do nothing else until a file is there."""
        while not os.path.exists(request["params"]["path"]):  # noqa: PTH110
            time.sleep(0.01)
        self.succeed(request)

    def do_wrong_job(self, request: Message) -> None:
        """Answer for another job."""
        self.succeed(request, job_id="another")

    def do_twice(self, request: Message) -> None:
        """Answer twice."""
        self.succeed(request)
        self.succeed(request)

    def do_strays(self, request: Message) -> None:
        """Answer many requests nobody made."""
        for _ in range(request["params"]["count"]):
            self.succeed(request, request_id="nobody's")

    def do_raw(self, request: Message) -> None:
        """Send the given bytes, and nothing else."""
        self.raw(bytes.fromhex(request["params"]["hex"]))

    def do_huge(self, request: Message) -> None:
        """Answer with a result over the frame limit."""
        self.succeed(request, "x" * (16 * 1024 * 1024))

    def do_environment(self, request: Message) -> None:
        """Answer with the process's environment, arguments and folder."""
        facts = {"env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd(), "pid": os.getpid()}  # noqa: PTH109
        facts["session"] = os.getsid(0)
        self.succeed(request, facts)

    def do_print(self, request: Message) -> None:
        """Print, then answer."""
        stream = getattr(sys, request["params"].get("stream", "stdout"))
        stream.write(request["params"]["text"] * request["params"].get("times", 1))
        stream.flush()
        self.succeed(request)

    def do_grow(self, request: Message) -> None:
        """Hold more memory, touched, from now on."""
        self.held_memory = b"x" * request["params"]["bytes"]
        self.succeed(request)

    def do_child(self, request: Message) -> None:
        """Leave a child in the group, which ignores SIGTERM."""
        code = (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
            "print(flush=True); time.sleep(600)"
        )
        child = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        self.succeed(request, child.pid)

    def do_family(self, request: Message) -> None:
        """Start a child, one in a session of its own, and an orphan without our environment; answer with
        their ids.
        """
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        orphan = f"import os; os.fork() and os._exit(0); os.setsid(); {code}"
        pids = []
        for each, more in ((code, {}), (code, {"start_new_session": True}), (orphan, {"env": {}})):
            child = subprocess.Popen([sys.executable, "-S", "-c", each], stdout=subprocess.PIPE, **more)
            assert child.stdout is not None
            pids.append(int(child.stdout.readline()))
        self.succeed(request, pids)


if __name__ == "__main__":
    main()
