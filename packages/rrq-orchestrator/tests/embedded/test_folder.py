"""The folder of an embedded server."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from rrq_orchestrator.embedded.errors import EmbeddedServerError, EmbeddedSetupError
from rrq_orchestrator.embedded.folder import MAX_SOCKET_BYTES, Folder


def test_a_new_folder_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    """Only its owner may enter, whatever the umask, and no file in it is committed by mistake."""
    path = tmp_path / "new" / ".rrq"
    old = os.umask(0)
    try:
        Folder(path).prepare()
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (path / ".gitignore").read_text() == "*\n"


def test_an_open_folder_of_ours_is_closed(tmp_path: Path) -> None:
    """A folder that was made readable for others since is closed again."""
    folder = Folder(tmp_path / ".rrq")
    folder.prepare()
    folder.path.chmod(0o755)
    folder.prepare()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """It would hand our data to that user; the text names both."""
    with pytest.raises(EmbeddedSetupError, match=f"expected a folder of user 12345, .* user {os.geteuid()}"):
        Folder(tmp_path).prepare(uid=12345)


@pytest.mark.parametrize("name", ["main.py", ".gitignore"])
def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    """Nobody's source code is hidden from git or locked away."""
    (tmp_path / name).write_text("dist/\n")
    tmp_path.chmod(0o755)
    with pytest.raises(EmbeddedSetupError, match="expected an empty folder"):
        Folder(tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "dist/\n"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("written", ["", "*"])
def test_a_start_killed_while_it_marked_the_folder_is_no_obstacle(tmp_path: Path, written: str) -> None:
    """The next start finishes what that one began."""
    (tmp_path / ".gitignore").write_text(written)
    Folder(tmp_path).prepare()
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_a_start_killed_before_it_marked_the_folder_is_no_obstacle(tmp_path: Path) -> None:
    """Its lock file, or that of a stop in an empty folder, is nobody else's file."""
    (tmp_path / "start.lock").touch()
    Folder(tmp_path).prepare()
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_an_old_folder_without_its_gitignore_is_still_ours(tmp_path: Path) -> None:
    """Somebody who deletes the file gets it back, not an error."""
    folder = Folder(tmp_path / ".rrq")
    folder.prepare()
    lock = folder.take_server_lock()
    assert lock is not None
    os.close(lock)
    (folder.path / ".gitignore").unlink()
    folder.prepare()
    assert (folder.path / ".gitignore").exists()


@pytest.mark.parametrize("below", ["", "more"], ids=["a file", "below a file"])
def test_a_path_that_can_be_no_folder_is_refused(tmp_path: Path, below: str) -> None:
    """The text names the path and the reason."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / below if below else tmp_path / "file"
    with pytest.raises(EmbeddedSetupError, match=r"file.*cannot be used for an embedded server: "):
        Folder(path).prepare()


def test_one_starter_at_a_time(tmp_path: Path) -> None:
    """A second one waits for its turn, and says so when it takes too long."""
    folder = Folder(tmp_path)
    with (
        folder.starting(within_s=1),
        pytest.raises(EmbeddedServerError, match="another process has been starting"),
        folder.starting(within_s=0),
    ):
        pass
    with folder.starting(within_s=0):
        pass


def test_who_holds_the_server_lock_lives(tmp_path: Path) -> None:
    """The lock is the proof of life: held means a server, free means none, whatever the files say."""
    folder = Folder(tmp_path)
    assert not folder.has_server()
    lock = folder.take_server_lock()
    assert lock is not None
    assert folder.has_server()
    assert folder.take_server_lock() is None
    os.close(lock)
    assert not folder.has_server()


@pytest.mark.parametrize("content", [b"", b'{"pid": 1', b"[]", b'{"pid": "x", "socket": 1}'])
def test_a_broken_record_is_none(tmp_path: Path, content: bytes) -> None:
    """A half-written `server.lock` is not believed."""
    (tmp_path / "server.lock").write_bytes(content)
    assert Folder(tmp_path).record() is None


def test_a_symbolic_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    """No file elsewhere is opened or created through it."""
    (tmp_path / "start.lock").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(EmbeddedSetupError, match=r"start\.lock: cannot be opened"),
        Folder(tmp_path).starting(within_s=0),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_short_path_keeps_its_socket(tmp_path: Path) -> None:
    """The socket is in the folder as long as its path fits."""
    fits = Path("/" + "x" * (MAX_SOCKET_BYTES - len("//redis.sock")))
    assert Folder(fits).choose_socket() == f"{fits}/redis.sock"


def test_a_long_path_gets_a_private_folder_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the usual temporary folder is too deep; bytes count, not characters."""
    long = Path("/" + "é" * (MAX_SOCKET_BYTES // 2))
    deep = tmp_path / ("d" * MAX_SOCKET_BYTES)
    deep.mkdir()
    for temporary in (tempfile.gettempdir(), str(deep)):
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        socket = Path(Folder(long).choose_socket())
        assert len(os.fsencode(socket)) <= MAX_SOCKET_BYTES
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        socket.parent.rmdir()


def test_clearing_spares_what_is_not_ours(tmp_path: Path) -> None:
    """A record that points to a folder we would not have made removes nothing there."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "redis.sock").touch()
    place = tmp_path / "place"
    place.mkdir()
    (place / "server.lock").write_text(f'{{"pid": 1, "socket": "{other}/redis.sock"}}')
    Folder(place).clear()
    assert (other / "redis.sock").exists()


def test_the_end_of_the_log_is_printable(tmp_path: Path) -> None:
    """Whatever is in the log, an error text shows its last lines without control characters."""
    folder = Folder(tmp_path)
    folder.log.write_bytes(b"old\n" + b"".join(b"line %d \x1b[2J\xff\n" % number for number in range(20)))
    shown = folder.log_since(4, lines=2)
    assert shown.splitlines() == ["    line 18 ?[2J\ufffd", "    line 19 ?[2J\ufffd"]
    assert "old" not in folder.log_since(4, lines=100)


def test_a_large_log_is_put_aside(tmp_path: Path) -> None:
    """The log does not grow without end over many starts."""
    folder = Folder(tmp_path)
    folder.log.write_bytes(b"x" * (5 * 1024 * 1024))
    fd, size = folder.open_log()
    os.close(fd)
    assert size == 0
    assert (tmp_path / "valkey.log.1").stat().st_size == 5 * 1024 * 1024
