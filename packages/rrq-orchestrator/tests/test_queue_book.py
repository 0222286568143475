"""What the claim loop knows of its queues."""

from rrq_orchestrator.queue_book import QueueBook
from rrq_protocol.transitions import QueueReply

SERVER_MS = 1_700_000_000_000.0
EMPTY = QueueReply(0, 0, None, "")
MORE = QueueReply(3, 0, SERVER_MS - 1, "")


def book(**weights: int) -> QueueBook:
    return QueueBook(weights or {"a": 1, "b": 2}, poll_s=0.1)


def emptied(now_s: float = 100.0) -> QueueBook:
    """Return a book whose queues were all found empty at ``now_s``."""
    made = book()
    for queue in ("a", "b"):
        made.learn(queue, EMPTY, SERVER_MS, now_s)
    return made


def test_at_first_every_queue_is_asked() -> None:
    """Nothing is known yet."""
    assert book().to_ask(0.0) == ({"a": 1, "b": 2}, [])


def test_an_empty_queue_is_left_alone_until_the_poll() -> None:
    """It costs nothing while other queues are busy."""
    made = emptied()
    assert made.to_ask(100.05) == ({}, [])
    assert made.to_ask(100.1) == ({}, ["a", "b"])
    assert made.next_look_s() == 100.1


def test_a_marker_makes_a_queue_ready_at_once() -> None:
    """Only that one; a marker of a queue that is not served changes nothing."""
    made = emptied()
    made.woken("b")
    made.woken("stranger")
    assert made.to_ask(100.0) == ({"b": 2}, [])


def test_a_marker_is_not_forgotten_for_an_answer_that_was_under_way() -> None:
    """It came after the question; the next one asks for it, and its answer counts."""
    made = emptied()
    made.woken("a")
    made.asking(["a"])
    made.woken("a")
    made.learn("a", EMPTY, SERVER_MS, 100.0)
    assert made.to_ask(100.0) == ({"a": 1}, [])
    made.asking(["a"])
    made.learn("a", EMPTY, SERVER_MS, 100.0)
    assert made.to_ask(100.0) == ({}, [])


def test_a_queue_with_more_due_jobs_stays_ready() -> None:
    """The next claim follows without a rest."""
    made = emptied()
    made.learn("a", MORE, SERVER_MS, 100.0)
    assert made.ready == {"a"}


def test_a_deferred_job_is_looked_for_when_it_is_due() -> None:
    """Earlier than the poll, if it is due earlier."""
    made = emptied()
    made.learn("a", QueueReply(0, 0, SERVER_MS + 30, ""), SERVER_MS, 100.0)
    assert made.next_look_s() == 100.03
    made.learn("a", QueueReply(0, 0, SERVER_MS + 60_000, ""), SERVER_MS, 100.0)
    assert made.next_look_s() == 100.1


def test_the_poll_slows_down_while_nothing_happens() -> None:
    """To a second, and back to its setting with the first job."""
    made = book()
    pauses = []
    for _ in range(6):
        made.rest(idle=True)
        pauses.append(made.poll_s)
    assert pauses == [0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    made.rest(idle=False)
    assert made.poll_s == 0.1


def test_jobs_of_a_full_runner_are_polled_for_and_looked_at_when_a_slot_is_free() -> None:
    """A queue that holds nothing else is not ready, or the loop would spin."""
    made = emptied()
    made.learn("a", QueueReply(0, 5, SERVER_MS - 1, ""), SERVER_MS, 100.0)
    assert made.hidden == {"a"}
    assert made.to_ask(100.05) == ({}, [])
    made.freed()
    assert made.to_ask(100.05) == ({"a": 1}, [])


def test_the_next_look_goes_on_behind_jobs_that_were_passed_over() -> None:
    """Until a slot is free again, or a second has passed: jobs may have been put in front."""
    made = book()
    made.to_ask(100.0)
    made.learn("a", QueueReply(0, 264, SERVER_MS - 1, "123.5"), SERVER_MS, 100.0)
    assert made.after("a") == "123.5"
    assert "a" in made.ready
    made.freed()
    assert made.after("a") == ""
    made.learn("a", QueueReply(0, 264, SERVER_MS - 1, "123.5"), SERVER_MS, 100.0)
    made.to_ask(100.5)
    assert made.after("a") == "123.5"
    made.to_ask(101.0)
    assert made.after("a") == ""
