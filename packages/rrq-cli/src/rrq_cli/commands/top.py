"""``rrq top``: everything at a glance, live."""

import time

import click
from redis import exceptions

from rrq_cli.exits import ExitCode, explain
from rrq_cli.output import emit
from rrq_cli.params import DURATION, GlobalOptions, common
from rrq_cli.screen import Screen
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.dead_letters import dlq_names
from rrq_cli.store.overview import look_over
from rrq_cli.store.throughput import HOUR, Throughput
from rrq_cli.top import Action, Overview, State, follow, press
from rrq_cli.views.top import draw_top

__all__ = ["top"]


@click.command()
@common
@click.option(
    "--interval", type=DURATION, default=1.0, metavar="TIME", show_default=True, help="Time between looks."
)
def top(options: GlobalOptions, interval: float) -> None:
    """Show queues, orchestrators, runners, running jobs and dead letters, live, on the whole terminal.

    Keys: Tab or ← → for another list, ↑ ↓ to move, p to pause or resume a queue, c to cancel a running job, r
    to requeue a dead letter, q to quit.

    JSON, once and without a terminal: {"at", "redis", "queues": […], "orchestrators": […], "running": [job],
    "dead": [job], "dead_total"}
    """
    with open_store(options) as store:
        if options.as_json:
            emit(True, look_over(store, Throughput()), lambda out, seen: None)
            return
        with Screen("top", keys=True) as screen:
            try:
                _Top(store, screen, max(interval, 0.1)).run()
            except KeyboardInterrupt:
                return


class _Top:
    """Looks, paints, and waits for keys; lives through a Redis that goes away for a while."""

    def __init__(self, store: Store, screen: Screen, interval_s: float) -> None:
        self._store, self._screen, self._interval_s = store, screen, interval_s
        self._flow, self._seen, self._state = Throughput(HOUR), Overview(redis=store.display), State()
        self._trouble: str | None = None

    def run(self) -> None:
        """Go on until somebody quits."""
        while True:
            self._look()
            next_look = time.monotonic() + self._interval_s
            while (left := next_look - time.monotonic()) > 0:
                self._screen.paint(lambda out: draw_top(out, self._seen, self._state, self._trouble))
                key = self._screen.key(left)
                if key is None:
                    break
                self._state, action = press(self._state, key, self._seen)
                if action is not None and action.kind == "quit":
                    return
                if action is not None:
                    self._do(action)
                    break

    def _look(self) -> None:
        try:
            seen = look_over(self._store, self._flow)
            self._state = follow(self._state, self._seen, seen)
            self._seen, self._trouble = seen, None
        except exceptions.RedisError as error:
            self._trouble = _told(error)

    def _do(self, action: Action) -> None:
        try:
            said = _done(self._store, action)
        except exceptions.RedisError as error:
            said = _told(error)
        self._state = State(self._state.pane, self._state.cursor, said)


def _told(error: Exception) -> str:
    explained = explain(error)
    return (explained or (ExitCode.FINDING, str(error)))[1]


def _done(store: Store, action: Action) -> str:
    """Do what was asked; return what became of it."""
    from rrq_protocol import transitions

    keys, settings, target = store.keys, store.settings, action.target
    if action.kind in ("pause", "resume"):
        call = transitions.pause if action.kind == "pause" else transitions.resume
        return f"queue {target}: {store.run(call(keys, target)).reply.value}"
    if action.kind == "cancel":
        ttl = settings.default_result_ttl_seconds
        reply = store.run(transitions.cancel(keys, target, ttl_seconds=ttl, job_events=settings.job_events))
        return f"cancel of job {target}: {reply.value}"
    answers = [store.run(transitions.requeue(keys, name, [target]))[0].value for name in dlq_names(store)]
    best = "ok" if "ok" in answers else answers[0]
    return f"requeue of job {target}: {best.replace('_', ' ')}"
