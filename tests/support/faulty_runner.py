"""A runner in the standard library that has one fault: ``python faulty_runner.py FAULT ADDRESS``.

The conformance checks are tried on it; each fault is one they have to find. ``none`` has no fault.
"""

import asyncio
import hmac
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

FAULT = sys.argv[1]
LIMIT = 16 * 1024 * 1024
NONCE = b""
Message = dict[str, Any]


class Runner:
    """One connection."""

    served = 0

    def __init__(self, writer: Any, stdio: bool) -> None:
        self.writer, self.stdio = writer, stdio
        self.open: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self.serial = asyncio.Lock()

    def send(self, message: Message) -> None:
        """Send one message."""
        body = json.dumps(message).encode()
        self.writer.write(body + b"\n" if self.stdio else len(body).to_bytes(4, "big") + body)

    def respond(self, request: Message, **outcome: Any) -> None:
        """Send a response, wrong as the fault says."""
        ids = {"job_id": request["job_id"], "request_id": request["request_id"]}
        if FAULT == "no_id":
            ids = {}
        if FAULT == "wrong_job":
            ids["job_id"] = "another"
        for _ in range(2 if FAULT == "twice" else 1):
            self.send({"type": "response", "payload": {**ids, **outcome}})

    async def execute(self, request: Message) -> None:
        """Run a handler and respond."""
        try:
            outcome = await handle(request["function_name"], request["params"], request["context"])
        except asyncio.CancelledError:
            outcome = error("cancelled", "the job was cancelled")
        if FAULT == "serial":
            self.serial.release()
        self.open.pop(request["request_id"], None)
        self.respond(request, **outcome)

    async def message(self, body: bytes) -> None:
        """Take one message."""
        try:
            message = json.loads(body)
            payload, kind = message["payload"], message["type"]
            if kind == "request":
                await self.request(payload)
            elif kind == "cancel":
                self.cancel(payload)
        except (ValueError, LookupError, TypeError, RecursionError):
            if FAULT == "dies_of_json":
                os._exit(1)
            self.send({"type": "response", "payload": error("bad_message", "cannot be understood")})

    async def request(self, payload: Message) -> None:
        """Take a request, if it can be understood."""
        wrong = not isinstance(payload["params"], dict) or not isinstance(payload["context"], dict)
        if wrong or not isinstance(payload["function_name"], str):
            if FAULT != "silent":
                self.respond(payload, **error("bad_message", "a field has the wrong type"))
            return
        if FAULT == "strict" and "later" in payload:
            self.respond(payload, **error("bad_message", "unknown field"))
            return
        if payload["protocol_version"] != "2" and FAULT != "any_version":
            self.respond(payload, **error("unsupported_version", "this runner speaks 2"))
            return
        if FAULT == "serial":
            await self.serial.acquire()
        task = asyncio.ensure_future(self.execute(payload))
        self.open[payload["request_id"]] = (payload["job_id"], task)
        await asyncio.sleep(0)  # a task that never began could not say that it was cancelled

    def cancel(self, payload: Message) -> None:
        """Cancel what is meant, or what the fault means."""
        if FAULT == "ignores_cancel":
            return
        for request_id, (job_id, task) in self.open.items():
            mine = job_id == payload["job_id"] and payload.get("request_id") in (None, request_id)
            if mine or FAULT == "cancels_all":
                task.cancel()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Read messages until the end."""
        if FAULT in ("hello_always", "hello_bare") and (
            FAULT == "hello_always" or "hello" in os.environ.get("RRQ_RUNNER_EXTENSIONS", "")
        ):
            names = [] if FAULT == "hello_bare" else ["crash", "echo", "fail", "retry", "sleep"]
            self.send({"type": "hello", "payload": {"runtime": "faulty", "version": "1", "handlers": names}})
        buffer = b""
        while data := await reader.read(2**20):
            buffer = data if FAULT == "whole_reads" else buffer + data
            bodies = 0
            while (size := self.size(buffer)) is not None:
                skip = 0 if self.stdio else 4
                body, buffer = buffer[skip : skip + size], buffer[skip + size :]
                bodies += 1
                if body.strip() and not (FAULT == "first_only" and bodies > 1):
                    await self.message(body)
        for _, task in self.open.values():
            task.cancel()

    def size(self, buffer: bytes) -> int | None:
        """Return the size of the first message, if it is all there."""
        if self.stdio:
            return buffer.index(b"\n") + 1 if b"\n" in buffer else None
        size = int.from_bytes(buffer[:4], "big")
        if len(buffer) >= 4 and not 0 < size <= LIMIT and FAULT != "any_size":
            raise ConnectionError
        return size if len(buffer) >= 4 + size and size else None


def error(kind: str, message: str) -> Message:
    """Return an outcome."""
    return {"status": "error", "error": {"type": kind, "message": message}}


async def handle(name: str, params: Message, context: Message) -> Message:
    """Run one of the five handlers."""
    match name:
        case "echo":
            text = json.dumps(params)
            return {
                "status": "success",
                "result": json.loads(text.replace("\\u", "") if FAULT == "lossy" else text),
            }
        case "fail":
            return error("Failed", params.get("message", "failed on purpose"))
        case "retry" if context["attempt"] < params.get("attempts", 2):
            delay = {} if FAULT == "no_delay" else {"retry_after_seconds": params.get("seconds", 0)}
            return {"status": "retry", "error": {"message": "not yet"}, **delay}
        case "retry":
            return {"status": "success", "result": {"attempt": context["attempt"]}}
        case "sleep":
            await asyncio.sleep(params["seconds"])
            return {"status": "success", "result": {"slept": params["seconds"]}}
        case "crash" if FAULT != "answers_crash":
            os._exit(params.get("code", 1))
    return error("NotFound" if FAULT == "not_found" else "handler_not_found", f"no handler named {name!r}")


def take_nonce() -> bytes:
    """Return the nonce, if the fault is about it."""
    text = os.environ.pop("RRQ_RUNNER_NONCE_FD", "")
    if FAULT not in ("wrong_proof", "believes_strangers") or not text:
        return b""
    nonce = os.read(int(text), 32)
    os.write(int(text), b"\1")
    os.close(int(text))
    return nonce


async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve a connection."""
    if NONCE:
        await reader.readexactly(32)
        writer.write(hmac.digest(NONCE, b"rrq runner", "sha512" if FAULT == "wrong_proof" else "sha256")[:32])
    Runner.served += 1
    if FAULT == "one_connection" and Runner.served > 1:
        await asyncio.Event().wait()
    with suppress(ConnectionError):
        await Runner(writer, stdio=False).serve(reader)
    Runner.served -= 1
    writer.close()
    if FAULT == "ends_with_connection":
        os._exit(0)


async def serve_stdio() -> None:
    """Serve stdin and stdout."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    writer, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
    if FAULT == "prints":
        writer.write(b"starting up\n")
    await Runner(writer, stdio=True).serve(reader)
    if FAULT == "outlives_stdin":
        await asyncio.Event().wait()


async def main() -> None:
    """Serve at the address at the end of the arguments."""
    loop = asyncio.get_running_loop()
    if FAULT == "ignores_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif FAULT != "hasty":
        loop.add_signal_handler(signal.SIGTERM, lambda: loop.call_later(0.7, os._exit, 0))
    match sys.argv[2:]:
        case ["--stdio"]:
            await serve_stdio()
            return
        case ["--unix-socket", path]:
            server: asyncio.Server = await asyncio.start_unix_server(connected, path)
        case [_, address]:
            global NONCE
            NONCE = take_nonce()
            host, _, port = address.rpartition(":")
            server = await asyncio.start_server(connected, "0.0.0.0" if FAULT == "wide" else host, int(port))
        case _:
            raise SystemExit("expected an address")
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
