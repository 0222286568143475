"""A runner that listens as asked and then misbehaves: ``python junk_runner.py MODE --unix-socket PATH``.

It never says anything before it got a request, so that it counts as started. Modes: ``text`` answers with
what is no frame, ``huge`` announces more than may be sent, ``json`` sends a frame that is no message,
``stranger`` answers for another job, ``silent`` takes the request and hangs up, ``half`` sends a part of a
frame and hangs up.
"""

import json
import socket
import struct
import sys


def answer(mode: str, body: bytes) -> bytes:
    """Return what is said to a request."""
    payload = json.loads(body)["payload"]
    match mode:
        case "text":
            return b"HTTP/1.1 400 Bad Request\r\n\r\n"
        case "huge":
            return struct.pack(">I", 2**31) + b"x" * 100
        case "json":
            return _framed([1, 2, 3]) * 200
        case "stranger":
            other = {"job_id": "somebody", "request_id": payload["request_id"], "status": "success"}
            return _framed({"type": "response", "payload": other})
        case "half":
            return struct.pack(">I", 100) + b'{"type'
        case _:
            return b""


def _framed(message: object) -> bytes:
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


def main() -> None:
    """Serve one connection after the other."""
    mode, path = sys.argv[1], sys.argv[sys.argv.index("--unix-socket") + 1]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                while len(header := stream.read(4)) == 4:
                    connection.sendall(answer(mode, stream.read(int.from_bytes(header))))
                    if mode in ("silent", "half"):
                        break


if __name__ == "__main__":
    main()
