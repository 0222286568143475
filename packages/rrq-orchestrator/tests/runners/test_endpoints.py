"""Every process gets an address of its own, in a place nobody else can reach."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import msgspec
import pytest

from rrq_orchestrator.runners.endpoints import Endpoints, tcp_base
from rrq_orchestrator.runners.process import StartFailed
from rrq_protocol import EndpointError, RunnerConfig, StdioEndpoint, TcpEndpoint, UnixEndpoint


def endpoints(*, external: bool = False, **config: object) -> Endpoints:
    """Return the addresses of a runner with these settings."""
    settings = msgspec.convert({"cmd": ("x",), "pool_size": 2, **config}, RunnerConfig)
    return Endpoints("fake", settings, external=external)


def test_sockets_are_in_a_private_folder_that_goes_with_them() -> None:
    """The folder has mode 0700, each process its own path, and nothing is left."""
    addresses = endpoints()
    first, second = addresses.allocate(0), addresses.allocate(0)
    assert isinstance(first, UnixEndpoint)
    assert isinstance(second, UnixEndpoint)
    assert first.path != second.path
    folder = Path(first.path).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    Path(first.path).touch()
    addresses.release(0, first)
    assert not Path(first.path).exists()
    Path(second.path).touch()
    addresses.close()
    assert not folder.exists()


def test_the_folder_of_a_killed_orchestrator_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one sweeps up after a dead process of ours; living ones and other names are left alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, living, other = (
        tmp_path / name for name in ("rrq-runners-4194305-x", f"rrq-runners-{os.getpid()}-x", "rrq-x")
    )
    for folder in (dead, living, other):
        folder.mkdir()
        (folder / "0-1.sock").touch()
    addresses = endpoints()
    addresses.allocate(0)
    assert not dead.exists()
    assert living.exists()
    assert other.exists()
    addresses.close()


def test_a_long_temporary_folder_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the temporary folder's path is too long for a socket, a short one is used."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    addresses = endpoints()
    endpoint = addresses.allocate(0)
    assert isinstance(endpoint, UnixEndpoint)
    assert len(endpoint.path) < 104
    assert list(deep.iterdir()) == []
    addresses.close()


def test_a_configured_folder_is_made_private_and_kept(tmp_path: Path) -> None:
    """`socket_dir` is made with mode 0700; closing leaves it, and what others put there."""
    folder = tmp_path / "a" / "b"
    addresses = endpoints(socket_dir=str(folder))
    endpoint = addresses.allocate(1)
    assert isinstance(endpoint, UnixEndpoint)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    other = folder / "other.sock"
    other.touch()
    addresses.close()
    assert other.exists()


@pytest.mark.parametrize("trick", ["open", "link", "file"])
def test_a_folder_that_is_not_ours_alone_is_refused(tmp_path: Path, trick: str) -> None:
    """A folder others may enter, a link, and a file are refused with what to do (S15)."""
    folder = tmp_path / "sockets"
    if trick == "open":
        folder.mkdir()
        folder.chmod(0o750)
    elif trick == "link":
        folder.symlink_to(tmp_path)
    else:
        folder.touch()
    with pytest.raises(StartFailed, match="socket_dir"):
        endpoints(socket_dir=str(folder)).allocate(0)


def test_an_overlong_path_is_refused(tmp_path: Path) -> None:
    """A path no socket can have is refused before anything starts."""
    with pytest.raises(StartFailed, match="longer than 103 bytes"):
        endpoints(socket_dir=str(tmp_path / ("d" * 100))).allocate(0)


def test_fixed_ports_follow_the_slot() -> None:
    """Slot n has port base + n; while it is taken a free one; released, it is there again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    addresses = endpoints(tcp_port=port)
    first = addresses.allocate(0)
    assert first == TcpEndpoint("127.0.0.1", port)
    beside = addresses.allocate(0)
    assert isinstance(beside, TcpEndpoint)
    assert beside.port not in (0, port)
    addresses.release(0, beside)
    addresses.release(0, first)
    assert addresses.allocate(0) == first


def test_a_port_in_use_is_refused() -> None:
    """The error names the address and the setting."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        with pytest.raises(StartFailed, match=rf"127\.0\.0\.1:{port} cannot be used.*tcp_port"):
            endpoints(tcp_port=port).allocate(0)


def test_stdio_needs_no_address() -> None:
    """A stdio runner has its pipes."""
    assert endpoints(type="stdio").allocate(1) == StdioEndpoint()


def test_external_addresses_are_fixed(tmp_path: Path) -> None:
    """External runners are found at one address per slot, which is not ours to remove."""
    assert endpoints(external=True, tcp_port=9000).allocate(1) == TcpEndpoint("127.0.0.1", 9001)
    addresses = endpoints(external=True, socket_dir=str(tmp_path))
    endpoint = addresses.allocate(1)
    assert endpoint == UnixEndpoint(str(tmp_path / "fake-1.sock"))
    Path(endpoint.path).touch()
    addresses.release(1, endpoint)
    addresses.close()
    assert Path(endpoint.path).exists()


def test_the_configured_address() -> None:
    """`tcp_socket`, or `tcp_host` and `tcp_port`, or none; foreign hosts only if allowed (S5)."""
    assert tcp_base(RunnerConfig()) is None
    assert tcp_base(RunnerConfig(tcp_port=0)) == TcpEndpoint("127.0.0.1", 0)
    assert tcp_base(RunnerConfig(tcp_port=1, tcp_host="::1")) == TcpEndpoint("::1", 1)
    assert tcp_base(RunnerConfig(tcp_socket="[::1]:7")) == TcpEndpoint("::1", 7)
    with pytest.raises(EndpointError, match="loopback"):
        tcp_base(RunnerConfig(tcp_socket="10.0.0.1:7"))
    assert tcp_base(RunnerConfig(tcp_socket="10.0.0.1:7", allowed_hosts=("10.0.0.1",)))
