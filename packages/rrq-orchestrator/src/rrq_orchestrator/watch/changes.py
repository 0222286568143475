"""The files of a folder that changed, as the kernel tells (watchdog)."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from rrq_orchestrator.watch.contents import Contents
from rrq_orchestrator.watch.debounce import due_s
from rrq_orchestrator.watch.gitignore import GitIgnores
from rrq_orchestrator.watch.selection import Selection
from rrq_protocol import SettingsError
from rrq_protocol.settings import WatchConfig

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

__all__ = ["Changes"]

_TELLING: Final = frozenset({"created", "modified", "moved", "deleted", "closed"})
"""Kinds of events that may mean other content. That a file was opened and read does not."""


class Changes:
    """Watches from ``async with`` on.

    Args:
        folder: Absolute, without links; everything below it is watched.
        config: Which files count.

    Raises:
        SettingsError: A pattern cannot be read; on entry: the system cannot watch so many folders.
    """

    def __init__(self, folder: Path, config: WatchConfig) -> None:
        self.folder = folder
        self._selection = Selection(config.include_patterns, config.ignore_patterns)
        self._git = None if config.no_gitignore else GitIgnores(folder)
        self._contents = Contents(folder)
        self._paths: dict[str, None] = {}
        self._first_s = self._latest_s = 0.0
        self._changed = asyncio.Event()
        self._end: Callable[[], None] = lambda: None

    async def __aenter__(self) -> "Changes":
        loop = asyncio.get_running_loop()
        self._end = await asyncio.to_thread(_observe, self.folder, lambda event: self._heard(loop, event))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._end)

    async def next(self) -> list[str]:
        """Wait for changes, and for those that come along with them; return the files, from the folder on."""
        now_s = asyncio.get_running_loop().time
        while True:
            await self._changed.wait()
            # Further changes put it off: only time ends this, and there is no event for that.
            while (wait_s := due_s(self._first_s, self._latest_s) - now_s()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait_s)
            paths, self._paths = list(self._paths), {}
            self._changed.clear()
            # Not before it is quiet: a file that is being written is empty for a moment.
            if told := await asyncio.to_thread(self._contents.differing, paths):
                return told

    def wants(self, path: Path) -> bool:
        """Return whether a change of this file, given absolute, counts."""
        if not path.is_relative_to(self.folder):
            return False
        if not self._selection.wants(path.relative_to(self.folder).parts):
            return False
        return self._git is None or not self._git.ignores(path)

    def _heard(self, loop: asyncio.AbstractEventLoop, event: "FileSystemEvent") -> None:
        # In the observer's thread.
        if event.is_directory or event.event_type not in _TELLING:
            return
        for name in (event.src_path, event.dest_path):
            path = Path(os.fsdecode(name)) if name else None
            if path is not None and self.wants(path):
                loop.call_soon_threadsafe(self._note, str(path.relative_to(self.folder)))

    def _note(self, path: str) -> None:
        self._latest_s = asyncio.get_running_loop().time()
        if not self._paths:
            self._first_s = self._latest_s
        self._paths[path] = None
        self._changed.set()


def _observe(folder: Path, heard: Callable[["FileSystemEvent"], None]) -> Callable[[], None]:
    """Begin to watch; return how to end it."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            heard(event)

    observer = Observer()
    observer.schedule(Handler(), str(folder), recursive=True)
    try:
        observer.start()
    except OSError as error:
        limit = error.errno in (errno.ENOSPC, errno.EMFILE)
        action = "; choose a smaller folder, or raise fs.inotify.max_user_watches" if limit else ""
        raise SettingsError([f"rrq.watch.path: cannot watch {folder}: {error.strerror}{action}"]) from error

    def end() -> None:
        observer.stop()
        observer.join()

    return end
