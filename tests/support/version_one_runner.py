"""A runner of the first 0.9 line, for tests: stdio without envelopes, or a Unix socket with them. Standard
library only; run as a script.
"""

import json
import os
import socket
import sys
from typing import Any, BinaryIO

Message = dict[str, Any]


def outcome(request: Message) -> Message:
    """Run a request: echo what came, or fail with the text given by position."""
    if request["protocol_version"] != "1" or "params" in request:
        raise SystemExit("expected a request of version 1")
    if request["function_name"] == "fail":
        return {"status": "error", "error_message": request["args"][0], "error_type": "ValueError"}
    return {"status": "success", "result": {"args": request["args"], "kwargs": request["kwargs"]}}


def serve_lines() -> None:
    """Requests and outcomes, one a line, and nothing around them."""
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"job_id": request["job_id"], **outcome(request)}
        print(json.dumps(answer), flush=True)


def serve_socket(path: str) -> None:
    """Length-prefixed frames with envelopes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    connection = listener.accept()[0]
    reading: BinaryIO = connection.makefile("rb")
    while header := reading.read(4):
        message = json.loads(reading.read(int.from_bytes(header, "big")))
        if message["type"] != "request":
            continue
        request = message["payload"]
        answer = outcome(request)
        if "error_message" in answer:
            answer["error"] = {"message": answer.pop("error_message"), "type": answer.pop("error_type")}
        payload = {"job_id": request["job_id"], "request_id": request["request_id"], **answer}
        body = json.dumps({"type": "response", "payload": payload}).encode()
        connection.sendall(len(body).to_bytes(4, "big") + body)


if __name__ == "__main__":
    if "--stdio" in sys.argv:
        serve_lines()
    else:
        serve_socket(os.environ["RRQ_EXECUTOR_SOCKET"])
