"""The handlers a runner offers, by name."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, TypeVar, overload

from rrq_protocol import ExecutionRequest, InvalidName, validate_function_name
from rrq_runner.binding import Binder, read_signature
from rrq_runner.context import Context
from rrq_runner.errors import RegistrationError, seconds
from rrq_runner.retry import Retry

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Handler:
    """One registered function.

    Attributes:
        is_async: Runs on the event loop; a plain ``def`` runs in a thread.
        binder: How params become arguments; None for a raw handler, which gets the request.
        timeout_s: Limit for one attempt, besides the job's own deadline.
        retry: What is said of another attempt when one has failed; None: nothing.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    binder: Binder | None
    timeout_s: float | None = None
    retry: Retry | None = None

    def call(self, request: ExecutionRequest, context: Context) -> Any:
        """Call the function: the result of a plain ``def``, or the awaitable of an async one.

        Raises:
            InvalidParams: The params do not fit; the function was not called.
        """
        if self.binder is None:
            return self.function(request)
        args, kwargs = self.binder.bind(request.params, context)
        return self.function(*args, **kwargs)


class Registry:
    """Names and their handlers.

    Everything is checked when a handler is registered, not when its first job comes.
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    @overload
    def handler(self, name: F) -> F: ...

    @overload
    def handler(
        self,
        name: str | None = None,
        *,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
    ) -> Callable[[F], F]: ...

    def handler(
        self,
        name: F | str | None = None,
        *,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
    ) -> F | Callable[[F], F]:
        """Register the decorated function, as ``@registry.handler`` or ``@registry.handler("name",
        timeout=60)``.

        Args:
            name: What producers call it; the function's own name by default.
            timeout: Limit for one attempt, in seconds or as a timedelta.
            retry: How often and when a failed attempt is followed by another.

        Raises:
            RegistrationError: See :meth:`register`.
        """
        if callable(name):
            self.register(_own_name(name), name)
            return name

        def decorate(function: F) -> F:
            own = _own_name(function) if name is None else name
            self.register(own, function, timeout=timeout, retry=retry)
            return function

        return decorate

    def register(
        self,
        name: str,
        handler: Callable[..., Any],
        *,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
        replace: bool = False,
    ) -> None:
        """Offer ``handler`` under ``name``.

        Args:
            name: What producers call it, without a ``runner#`` prefix.
            handler: An async function, a plain one (runs in a thread), or a raw one, whose only parameter is
                annotated ``ExecutionRequest``.
            timeout: Limit for one attempt, in seconds or as a timedelta.
            retry: How often and when a failed attempt is followed by another, within the job's own limits.
            replace: Take the place of a handler of the same name.

        Raises:
            RegistrationError: The name is malformed or taken, or the function cannot be a handler.
        """
        _check_name(name)
        if name in self._handlers and not replace:
            raise RegistrationError(
                name, "a handler of this name is registered already; pass replace=True to replace it"
            )
        _check_function(name, handler)
        try:
            timeout_s = None if timeout is None else seconds("timeout", timeout)
        except (TypeError, ValueError) as error:
            raise RegistrationError(name, str(error)) from None
        if timeout_s == 0:
            raise RegistrationError(name, "timeout: expected more than 0 seconds, or None for no limit")
        if retry is not None and not isinstance(retry, Retry):
            raise RegistrationError(
                name, f"retry: expected a Retry, such as Retry(max_retries=3), got {retry!r}"
            )
        self._handlers[name] = Handler(
            name=name,
            function=handler,
            is_async=_is_async(handler),
            binder=read_signature(name, handler),
            timeout_s=timeout_s,
            retry=retry,
        )

    def unregister(self, name: str) -> None:
        """Stop offering ``name``; nothing happens if it is unknown."""
        self._handlers.pop(name, None)

    def find(self, name: str) -> Handler | None:
        """Return the handler called ``name``, or None."""
        return self._handlers.get(name)

    def get_handler(self, name: str) -> Callable[..., Any] | None:
        """Return the function registered as ``name``, or None."""
        handler = self._handlers.get(name)
        return None if handler is None else handler.function

    def explain_missing(self, name: str) -> str:
        """Return the error text for a request that names no registered handler."""
        nearest = get_close_matches(name, self._handlers, n=1)
        if nearest:
            return f"no handler named {name!r}; did you mean {nearest[0]!r}?"
        return f"no handler named {name!r}; this runner has {len(self._handlers)} other handlers"

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._handlers)

    def get_registered_functions(self) -> list[str]:
        """Return :attr:`names`; the method's name in earlier versions."""
        return self.names

    def __contains__(self, name: object) -> bool:
        return name in self._handlers

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self._handlers)

    def __repr__(self) -> str:
        return f"<Registry of {len(self._handlers)} handlers>"


JobRegistry = Registry
"""The name of earlier versions."""


def _own_name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise RegistrationError(function, 'has no name of its own; write @registry.handler("name")')
    return name


def _check_name(name: str) -> None:
    try:
        validate_function_name(name)
    except InvalidName as error:
        raise RegistrationError(name, str(error)) from None
    if "#" in name:
        raise RegistrationError(
            name, "'#' separates a runner's name from the handler's; register the part after it"
        )


def _check_function(name: str, handler: object) -> None:
    if isinstance(handler, type):
        raise RegistrationError(
            name, "expected a function, got a class; register one of its methods or an instance"
        )
    if not callable(handler):
        raise RegistrationError(name, f"expected a function, got {type(handler).__name__}")
    target = _called(handler)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise RegistrationError(
            name, "a generator function has no single result; return a value instead of yielding"
        )


def _is_async(handler: Callable[..., Any]) -> bool:
    # A decorator written as a plain def around an async function returns its coroutine: as good as async.
    return any(inspect.iscoroutinefunction(each) for each in (handler, _called(handler)))


def _called(handler: Any) -> Any:
    """Return the function that runs in the end, behind wrappers, partials and ``__call__``."""
    target = inspect.unwrap(handler)
    while hasattr(target, "func"):
        target = inspect.unwrap(target.func)
    if inspect.isroutine(target):
        return target
    return inspect.unwrap(type(target).__call__)
