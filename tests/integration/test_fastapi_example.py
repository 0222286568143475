"""examples/python as its README says: a FastAPI service, an orchestrator, handlers in a third process."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import redis

from rrq_protocol import Keyspace
from support.environments import environment, strict_only
from support.processes import Command
from support.redis_servers import RedisServer
from support.rules import PACKAGES, ROOT
from support.waiting import eventually

strict_only("FastAPI")

WITHIN_S = 60
EXAMPLE = ROOT / "examples" / "python"
WHEELS = ("cli", "orchestrator", "producer", "protocol", "runner")


@dataclass(frozen=True)
class Service:
    """The web service, as a client sees it."""

    url: str

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Return status and body of an answer."""
        data = None if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json", **headers}
        request = Request(f"{self.url}{path}", data, sent, method=method)
        try:
            with urlopen(request, timeout=WITHIN_S) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def enqueue(self, handler: str, **params: object) -> str:
        """Have a job enqueued; return its id."""
        status, job = self.call("POST", f"/jobs/{handler}", params)
        assert (status, job["created"]) == (202, True), job
        return str(job["id"])

    def ended(self, job_id: str) -> dict[str, Any]:
        """Wait until a job has ended; return what the service says of it."""

        def known() -> dict[str, Any]:
            status, job = self.call("GET", f"/jobs/{job_id}")
            assert status == 200, job
            return job if job["status"] in ("COMPLETED", "FAILED", "CANCELLED") else {}

        return eventually(known, f"job {job_id} to end", within_s=WITHIN_S)


@pytest.fixture(scope="module")
def service(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Serve the example from a copy of its folder, in an environment made from its own requirements."""
    wheels = [part for name in WHEELS for part in ("--editable", str(PACKAGES / f"rrq-{name}"))]
    python = environment("FastAPI", ["--requirement", str(EXAMPLE / "requirements.txt"), *wheels])
    folder = tmp_path_factory.mktemp("service") / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    keyspace = Keyspace("rrq-fastapi")
    with redis.Redis.from_url(redis_server.url) as client:
        for key in client.scan_iter(match=f"{keyspace.prefix}:*"):
            client.unlink(key)
    env = {"RRQ_REDIS_DSN": redis_server.url, "RRQ_KEY_PREFIX": keyspace.prefix}
    with ExitStack() as stack:

        def start(module: str, *arguments: str) -> Command:
            return stack.enter_context(
                Command(module, *arguments, cwd=folder, env=env, stdout=subprocess.DEVNULL, python=python)
            )

        worker = start("rrq_cli", "worker", "run", "--log-format", "json")
        web = start("uvicorn", "app:app", "--port", "0")
        address = re.search(r"http://127\.0\.0\.1:\d+", web.wait_for("Uvicorn running on"))
        assert address is not None
        yield Service(address[0])
        for each in (web, worker):
            each.process.terminate()
            assert each.code() in (0, -15), each.lines
        assert not any("Traceback" in line for line in web.lines + worker.lines), (web.lines, worker.lines)


def test_a_job_goes_through_all_three_processes(service: Service) -> None:
    """Posted to the service, run by a handler elsewhere, its result is read from the service."""
    job_id = service.enqueue("echo", a=1, text="grüße")
    result = {"a": 1, "text": "grüße"}
    assert service.ended(job_id) == {"id": job_id, "status": "COMPLETED", "result": result, "error": None}
    retried = service.enqueue("retry", attempts=2)
    assert service.ended(retried)["result"] == {"attempt": 2}


def test_a_client_that_repeats_itself_gets_the_same_job(service: Service) -> None:
    """The idempotency key is the job's unique key, held until it ends."""
    first, second = (
        service.call("POST", "/jobs/sleep", {"seconds": 60}, **{"idempotency-key": "k1"}) for _ in range(2)
    )
    assert (first[0], first[1]["created"]) == (202, True)
    assert second == (202, {"id": first[1]["id"], "created": False})
    status, _ = service.call("DELETE", f"/jobs/{first[1]['id']}")
    assert status == 202
    assert service.ended(first[1]["id"])["status"] == "CANCELLED"


def test_what_cannot_be_is_refused_by_the_service(service: Service) -> None:
    """A handler that is not offered, params that are no object, a payload over the limit, an unknown job."""
    assert service.call("POST", "/jobs/crash", {})[0] == 422
    assert service.call("POST", "/jobs/echo", [1])[0] == 422
    status, body = service.call("POST", "/jobs/echo", {"a": "x" * 2**20})
    assert status == 422
    assert "1048576" in body["detail"]
    assert service.call("GET", "/jobs/no-such-job") == (404, {"detail": "no such job"})
