"""What a key does to what is shown."""

import pytest

from rrq_cli.shapes import JobRow, QueueStats
from rrq_cli.top import Action, Overview, State, follow, press, selected

SEEN = Overview(
    queues=[QueueStats(name="a"), QueueStats(name="b", paused=True)],
    running=[JobRow(id="r1"), JobRow(id="r2")],
    dead=[JobRow(id="d1")],
)


START = State()


def pressed(
    keys: str | list[str], state: State = START, seen: Overview = SEEN
) -> tuple[State, Action | None]:
    """Press keys one after the other; return the last state and action."""
    action: Action | None = None
    for key in keys:
        state, action = press(state, key, seen)
    return state, action


def test_lists_are_walked_round() -> None:
    """Tab and the arrows lead from list to list, and the cursor starts at the top of each."""
    assert [pressed(["tab"] * count)[0].pane for count in range(4)] == ["queues", "running", "dead", "queues"]
    assert pressed(["left"])[0] == State("dead")
    assert pressed(["down", "right"])[0] == State("running")


def test_the_cursor_stays_inside() -> None:
    """It stops at both ends, and follows a list that shrinks."""
    assert [pressed(["down"] * count)[0].cursor for count in range(4)] == [0, 1, 1, 1]
    assert pressed("kk")[0].cursor == 0
    assert [pressed([key])[0].cursor for key in ("end", "page_down", "home", "page_up")] == [1, 1, 0, 0]
    assert selected(State("dead", 7), SEEN) == "d1"
    assert pressed(["up"], State("running", 9))[0].cursor == 0
    assert selected(State("running"), Overview()) is None
    assert pressed("j", seen=Overview())[0].cursor == 0


def test_pausing_is_done_at_once() -> None:
    """p pauses an open queue and resumes a paused one: it can be undone with the same key."""
    assert pressed("p")[1] == Action("pause", "a")
    assert pressed(["down", "p"])[1] == Action("resume", "b")


@pytest.mark.parametrize(
    ("pane", "key", "action"),
    [("running", "c", Action("cancel", "r1")), ("dead", "r", Action("requeue", "d1"))],
)
def test_what_cannot_be_undone_is_asked_for(pane: str, key: str, action: Action) -> None:
    """y does it, any other key does not, and the question names the job."""
    asked, now = pressed(key, State(pane))
    assert (now, asked.pending) == (None, action)
    assert asked.message == f"{action.kind} job {action.target}? y/n"
    agreed, now = press(asked, "y", SEEN)
    assert (now, agreed.pending, agreed.message) == (action, None, "")
    for other in ("n", "q", "escape", key):
        refused, now = press(asked, other, SEEN)
        assert (now, refused.pending, refused.message) == (None, None, "nothing was done")


def test_a_key_of_another_list_says_where_to_go() -> None:
    """c on a queue does nothing but explain itself; so it is where there is nothing."""
    assert pressed("c")[0].message == "c: move to a running job first (Tab, arrows)"
    assert pressed("c", State("running"), Overview()) == (
        State("running", message="c: move to a running job first (Tab, arrows)"),
        None,
    )
    assert pressed(["c", "x"])[0].message == ""


def test_a_key_nobody_knows_does_nothing() -> None:
    """Not even end the view."""
    assert pressed(["unknown", "z", "down"]) == (State(cursor=1), None)


def test_quitting() -> None:
    """q, Esc, or the end of the input."""
    assert {pressed([key])[1] for key in ("q", "Q", "escape", "eof")} == {Action("quit")}


def test_the_cursor_follows_what_it_stands_on() -> None:
    """A list in another order does not put another queue under it; what is gone leaves it where it is."""
    other = Overview(queues=[QueueStats(name="c"), *SEEN.queues[::-1]])
    assert selected(follow(State(cursor=1), SEEN, other), other) == "b"
    assert selected(follow(State(cursor=0), SEEN, other), other) == "a"
    assert follow(State("running", 1), SEEN, other) == State("running", 1)
    assert follow(State("dead"), other, SEEN) == State("dead")
