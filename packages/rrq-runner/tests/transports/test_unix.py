"""The Unix socket is private, and only its own file is ever removed (S15)."""

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from rrq_protocol import UnixEndpoint
from rrq_runner.errors import StartupError
from rrq_runner.transports.unix import listen_unix

pytestmark = pytest.mark.anyio


class Greeter(asyncio.Protocol):
    """Says hello and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Do so."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


async def greeting(path: Path) -> bytes:
    """Connect, and return what was said."""
    reader, writer = await asyncio.open_unix_connection(path)
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    return said


async def test_folder_and_socket_are_private(tmp_path: Path) -> None:
    """A missing folder is made for this user alone, and so is the socket, whatever the umask."""
    before = os.umask(0)
    try:
        listener = await listen_unix(UnixEndpoint(str(tmp_path / "a" / "b" / "s")), Greeter)
    finally:
        os.umask(before)
    assert listener.address == str(tmp_path / "a" / "b" / "s")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b" / "s").stat().st_mode) == 0o600
    listener.close()
    assert not (tmp_path / "a" / "b" / "s").exists()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
async def test_a_folder_open_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    """Whoever may write there could put a socket of his own in the place; the text says what to do."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(
        StartupError, match="may be written to by other users; name a socket in a folder of its own"
    ):
        await listen_unix(UnixEndpoint(str(folder / "s")), Greeter)


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """The file of a runner that was killed does not stop the next one."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    listener = await listen_unix(UnixEndpoint(str(path)), Greeter)
    assert await greeting(path) == b"hello"
    listener.close()


async def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    """A second runner at the same path is refused, and the first goes on."""
    path = tmp_path / "s"
    first = await listen_unix(UnixEndpoint(str(path)), Greeter)
    with pytest.raises(StartupError, match="is in use: another runner listens there"):
        await listen_unix(UnixEndpoint(str(path)), Greeter)
    assert await greeting(path) == b"hello"
    first.close()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """Neither files nor symbolic links are removed or followed."""
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(StartupError, match="exists and is no socket"):
            await listen_unix(UnixEndpoint(str(tmp_path / name)), Greeter)
    assert (tmp_path / "file").read_text() == "precious"
    assert (tmp_path / "link").is_symlink()


async def test_somebody_elses_socket_is_not_removed(tmp_path: Path) -> None:
    """When another runner has taken over the path, closing leaves its file."""
    path = tmp_path / "s"
    first = await listen_unix(UnixEndpoint(str(path)), Greeter)
    path.rename(tmp_path / "moved")
    second = await listen_unix(UnixEndpoint(str(path)), Greeter)
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


async def test_what_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    """A path too long for a socket, and a folder that cannot be made, are told with the path."""
    with pytest.raises(StartupError, match=r"cannot listen on .*too long"):
        await listen_unix(UnixEndpoint(str(tmp_path / ("x" * 120))), Greeter)
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="cannot make the folder"):
        await listen_unix(UnixEndpoint(str(tmp_path / "file" / "s")), Greeter)
