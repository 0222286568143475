"""Handlers are checked when they are registered."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from rrq_runner.errors import RegistrationError
from rrq_runner.registry import JobRegistry, Registry
from rrq_runner.retry import Retry


async def an_async() -> None:
    """Do nothing, asynchronously."""


def a_plain() -> None:
    """Do nothing."""


def a_generator() -> Iterator[int]:
    """Yield."""
    yield 1


async def an_async_generator() -> AsyncIterator[int]:
    """Yield, asynchronously."""
    yield 1


def test_the_decorator_takes_name_and_timeout_or_nothing() -> None:
    """Each form registers the function and gives it back unchanged."""
    registry = Registry()
    assert registry.handler(an_async) is an_async
    assert registry.handler("other", timeout=timedelta(minutes=1))(a_plain) is a_plain
    assert registry.handler()(a_plain) is a_plain
    assert registry.names == list(registry) == ["a_plain", "an_async", "other"]
    assert len(registry) == 3
    assert "other" in registry
    other = registry.find("other")
    assert other is not None
    assert (other.timeout_s, other.is_async, other.function) == (60.0, False, a_plain)


def test_a_retry_policy_is_one() -> None:
    """Of a number nobody knows whether it is meant as attempts or seconds."""
    registry = Registry()
    registry.handler("h", retry=Retry(max_retries=3))(a_plain)
    handler = registry.find("h")
    assert handler is not None
    assert handler.retry == Retry(max_retries=3)
    wrong: Any = 3
    with pytest.raises(RegistrationError, match=r"expected a Retry, such as Retry\(max_retries=3\), got 3"):
        registry.register("other", a_plain, retry=wrong)


def test_a_name_is_taken_once() -> None:
    """A duplicate is a mistake unless replacing is what was meant."""
    registry = Registry()
    registry.register("h", an_async)
    with pytest.raises(RegistrationError, match="registered already; pass replace=True"):
        registry.register("h", a_plain)
    registry.register("h", a_plain, replace=True)
    assert registry.get_handler("h") is a_plain
    registry.unregister("h")
    registry.unregister("h")
    assert registry.get_handler("h") is None
    assert registry.get_registered_functions() == []


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 257, "python#h", 5])
def test_bad_names_are_refused(name: Any) -> None:
    """A name no request could carry is refused."""
    with pytest.raises(RegistrationError):
        Registry().register(name, an_async)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (5, "expected a function, got int"),
        (Registry, "got a class"),
        (a_generator, "no single result"),
        (an_async_generator, "no single result"),
        (functools.partial(a_generator), "no single result"),
    ],
)
def test_what_is_no_handler_is_refused(function: Any, problem: str) -> None:
    """Only functions with one result can be handlers."""
    with pytest.raises(RegistrationError, match=problem):
        Registry().register("h", function)


@pytest.mark.parametrize("timeout", [0, -1, "5", float("nan")])
def test_bad_timeouts_are_refused(timeout: Any) -> None:
    """A limit that could never be kept is refused."""
    with pytest.raises(RegistrationError, match="timeout: expected"):
        Registry().register("h", an_async, timeout=timeout)


def test_a_lambda_needs_a_name() -> None:
    """The decorator cannot name what has no name."""
    with pytest.raises(RegistrationError, match="no name of its own"):
        Registry().handler(lambda: None)


def plainly_wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate with a plain def, as many decorators do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Asynchronous:
    """An object called asynchronously."""

    async def __call__(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (an_async, True),
        (a_plain, False),
        (plainly_wrapped(an_async), True),
        (plainly_wrapped(a_plain), False),
        (functools.partial(an_async), True),
        (Asynchronous(), True),
        (Asynchronous().__call__, True),
    ],
)
def test_async_functions_are_recognised(function: Callable[..., Any], is_async: bool) -> None:
    """Wrappers, partials and objects are async if what they call is."""
    registry = Registry()
    registry.register("h", function)
    handler = registry.find("h")
    assert handler is not None
    assert handler.is_async is is_async


def test_a_missing_handler_is_explained() -> None:
    """The nearest name is offered, or the count says that there are others."""
    registry = Registry()
    registry.register("send_email", an_async)
    assert (
        registry.explain_missing("send_emial") == "no handler named 'send_emial'; did you mean 'send_email'?"
    )
    assert registry.explain_missing("x") == "no handler named 'x'; this runner has 1 other handlers"


def test_the_earlier_name_is_the_same_class() -> None:
    """Programs that say JobRegistry need no change."""
    assert JobRegistry is Registry
