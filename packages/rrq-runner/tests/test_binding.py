"""Params become typed arguments, or an error that names the field."""

import enum
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol import ExecutionRequest
from rrq_runner.binding import read_signature
from rrq_runner.context import Context
from rrq_runner.errors import InvalidParams, RegistrationError
from support.runners import execution_request

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found] # seen by type checkers only, which is the point


class Colour(enum.Enum):
    """An enum by value."""

    RED = "red"


class Item(msgspec.Struct):
    """A Struct inside of another."""

    id: int


class Order(msgspec.Struct):
    """A Struct with a list."""

    items: list[Item]


@dataclass
class Point:
    """A dataclass."""

    x: int
    y: int = 0


class Options(TypedDict):
    """A TypedDict."""

    fast: bool


class Validated:
    """What classes with ``model_validate`` look like to us."""

    def __init__(self, value: object) -> None:
        self.value = value

    @classmethod
    def model_validate(cls, value: object) -> "Validated":
        """Refuse everything but a dict."""
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return cls(value)


CONTEXT = Context(execution_request(), {})


def bind(function: Callable[..., Any], params: dict[str, Any]) -> Any:
    """Call ``function`` with what ``params`` bind to."""
    binder = read_signature("h", function)
    assert binder is not None
    args, kwargs = binder.bind(params, CONTEXT)
    return function(*args, **kwargs)


def taking(hint: Any) -> Callable[..., Any]:
    """Return a function with one parameter ``value`` of a type."""

    def function(value):  # type: ignore[no-untyped-def] # annotated below
        return value

    function.__annotations__ = {"value": hint}
    return function


@pytest.mark.parametrize(
    ("hint", "given", "expected"),
    [
        (int, 5, 5),
        (float, 5, 5.0),
        (str, "a", "a"),
        (datetime, "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        (UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")),
        (Decimal, "1.50", Decimal("1.50")),
        (Path, "a/b", Path("a/b")),
        (Path | None, None, None),
        (list[Path], ["a"], [Path("a")]),
        (Colour, "red", Colour.RED),
        (Literal["a", "b"], "b", "b"),
        (Order, {"items": [{"id": 1}]}, Order([Item(1)])),
        (Point, {"x": 1}, Point(1)),
        (Options, {"fast": True}, {"fast": True}),
        (timedelta, 1.5, timedelta(seconds=1.5)),
        (timedelta | None, "PT2S", timedelta(seconds=2)),
        (bytes, "aGk=", b"hi"),
        (set[int], [1, 1], {1}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (Annotated[int, msgspec.Meta(ge=1)], 1, 1),
        (Any, {"a": [1]}, {"a": [1]}),
        (object, None, None),
        (dict, {"a": 1}, {"a": 1}),
    ],
    ids=str,
)
def test_values_are_converted_by_annotation(hint: Any, given: object, expected: object) -> None:
    """Each supported type is read from its usual JSON form."""
    assert bind(taking(hint), {"value": given}) == expected


def test_a_class_that_validates_itself_is_asked() -> None:
    """Classes with ``model_validate`` make their own instances, and their refusal names the field."""
    assert bind(taking(Validated), {"value": {"a": 1}}).value == {"a": 1}
    with pytest.raises(InvalidParams, match=r"^value: not an object$"):
        bind(taking(Validated), {"value": 1})


@pytest.mark.parametrize(
    ("hint", "given", "field", "problem"),
    [
        (int, "5", "value", "expected int, got str"),
        (int, True, "value", "expected int, got bool"),
        (bool, 1, "value", "expected bool, got int"),
        (str, None, "value", "expected str, got null"),
        (Path, 5, "value", "expected str, got int"),
        (Colour, "blue", "value", "invalid enum value 'blue'"),
        (datetime, "yesterday", "value", "invalid RFC3339"),
        (Order, {"items": [{"id": 1}, {"id": "x"}]}, "value.items[1].id", "expected int, got str"),
        (Order, {}, "value", "missing required field items"),
        (Annotated[int, msgspec.Meta(ge=1)], 0, "value", "expected int >= 1"),
    ],
    ids=str,
)
def test_a_mismatch_names_the_field(hint: Any, given: object, field: str, problem: str) -> None:
    """The error says which field, down to the place inside a value, what was expected and what came."""
    with pytest.raises(InvalidParams) as caught:
        bind(taking(hint), {"value": given})
    assert caught.value.field == field
    assert problem in caught.value.problem


def test_defaults_apply_and_null_means_none_where_none_is_the_default() -> None:
    """An absent parameter takes its default.

    ``int = None`` accepts null though its annotation forgot to say so.
    """

    def function(a: int, b: str = "b", c: int = None) -> object:  # type: ignore[assignment] # noqa: RUF013
        return a, b, c

    assert bind(function, {"a": 1}) == (1, "b", None)
    assert bind(function, {"a": 1, "c": None, "b": "x"}) == (1, "x", None)


def test_missing_parameters_are_all_named() -> None:
    """One error names every missing parameter, and the unknown one that may have been meant."""

    def function(to: str, subject: str, body: str = "") -> None: ...

    with pytest.raises(
        InvalidParams, match=r"^to: required.*\(missing: to, subject\).*unknown 'too'"
    ) as caught:
        bind(function, {"too": "a"})
    assert caught.value.field == "to"


def test_unknown_parameters_are_named_with_the_nearest() -> None:
    """A misspelt optional parameter is an error, not silence."""

    def function(width: int = 1, height: int = 1) -> None: ...

    with pytest.raises(
        InvalidParams, match=r"^widht: unknown parameter \(also unknown: 'x'\); did you mean 'width'\?"
    ):
        bind(function, {"widht": 2, "x": 1})
    with pytest.raises(InvalidParams, match="the handler takes no parameters"):
        bind(lambda: None, {"x": 1})


def test_further_names_are_taken_by_keyword_parameters() -> None:
    """``**options`` takes what has no parameter of its own, converted by its annotation."""

    def function(a: int, **options: int) -> object:
        return a, options

    assert bind(function, {"a": 1, "b": 2}) == (1, {"b": 2})
    with pytest.raises(InvalidParams, match=r"^b: expected int"):
        bind(function, {"a": 1, "b": "x"})


def test_a_first_parameter_called_ctx_or_annotated_gets_the_context() -> None:
    """Name or annotation is enough; a producer cannot set it."""

    def by_name(ctx, a: int):  # type: ignore[no-untyped-def] # the style of earlier versions
        return ctx, a

    def by_type(job: Context, a: int) -> object:
        return job, a

    assert bind(by_name, {"a": 1}) == (CONTEXT, 1)
    assert bind(by_type, {"a": 1}) == (CONTEXT, 1)
    with pytest.raises(InvalidParams, match=r"^job: unknown parameter"):
        bind(by_type, {"a": 1, "job": 2})


def test_the_positional_style_binds_by_position() -> None:
    """A list called ``args`` fills positional parameters in order, beside named ones."""

    def function(ctx: Context, a: int, b: str, c: int = 0) -> object:
        return a, b, c

    assert bind(function, {"args": [1, "x"], "c": 2}) == (1, "x", 2)
    assert bind(function, {"args": [1], "b": "x"}) == (1, "x", 0)
    assert bind(lambda: "none", {"args": []}) == "none"
    with pytest.raises(InvalidParams, match=r"^a: given twice"):
        bind(function, {"args": [1], "a": 2})
    with pytest.raises(InvalidParams, match=r"^args: expected at most 3 positional values, got 4"):
        bind(function, {"args": [1, "x", 2, 3]})
    with pytest.raises(InvalidParams, match=r"^b: expected str"):
        bind(function, {"args": [1, 2]})


def test_a_parameter_called_args_is_a_parameter() -> None:
    """A function that has a parameter of that name gets the list itself."""

    def function(args: list[int]) -> object:
        return args

    assert bind(function, {"args": [1, 2]}) == [1, 2]


def test_every_kind_of_parameter_can_be_filled() -> None:
    """Positional-only, variable and keyword-only parameters work together, defaults included."""

    def function(a: int, b: int = 2, /, c: int = 3, *rest: int, d: int = 4) -> object:
        return a, b, c, rest, d

    assert bind(function, {"a": 1}) == (1, 2, 3, (), 4)
    assert bind(function, {"a": 1, "d": 5, "c": 6}) == (1, 2, 6, (), 5)
    assert bind(function, {"args": [1, 2, 3, 4, 5], "d": 6}) == (1, 2, 3, (4, 5), 6)
    with pytest.raises(InvalidParams, match=r"^args\[4\]: expected int"):
        bind(function, {"args": [1, 2, 3, 4, "x"]})


def test_partials_methods_and_callable_objects_bind() -> None:
    """Whatever has a signature can be a handler."""

    class Service:
        def method(self, a: int) -> int:
            return a

        def __call__(self, b: "Path") -> Path:
            return b

    def two(a: int, b: Path) -> object:
        return a, b

    assert bind(Service().method, {"a": 1}) == 1
    assert bind(Service(), {"b": "x"}) == Path("x")
    assert bind(partial(two, 1), {"b": "x"}) == (1, Path("x"))


def test_a_function_of_the_request_has_no_binder() -> None:
    """The only parameter annotated ExecutionRequest means.

    As it came. Also where the name is for checkers only.
    """

    def raw(request: ExecutionRequest) -> None: ...

    def quoted(request: "ExecutionRequest") -> None: ...

    assert read_signature("h", raw) is None
    assert read_signature("h", quoted) is None


def unresolvable(a: "Unknown") -> None:
    """Have an annotation that does not exist at run time."""


def unresolvable_result(a: int) -> "Unknown":
    """Have one where it does not matter."""
    return a


def misplaced_context(a: int, ctx: Context) -> None:
    """Have the context second."""


def request_and_more(request: ExecutionRequest, a: int) -> None:
    """Mix two styles."""


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (unresolvable, "parameter 'a' cannot be resolved.*import its names at run time"),
        (misplaced_context, "the context must be its first parameter"),
        (request_and_more, "takes nothing else"),
        (taking(complex), "parameter 'value' cannot be read from JSON: type complex"),
        (taking(list[complex]), "type complex"),
        (taking(Path | str), "cannot be read from JSON"),
        (dict.update, "signature"),
    ],
)
def test_what_could_never_be_filled_is_refused_at_registration(
    function: Callable[..., Any], problem: str
) -> None:
    """A signature JSON cannot serve is an error before the first job, not at each."""
    with pytest.raises(RegistrationError, match=problem):
        read_signature("h", function)


def test_a_return_annotation_that_cannot_be_resolved_is_no_obstacle() -> None:
    """Only parameters are read."""
    assert bind(unresolvable_result, {"a": 1}) == 1


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text() | st.none() | st.lists(st.integers())))
def test_binding_never_raises_anything_else(params: dict[str, Any]) -> None:
    """Whatever an object holds, it binds or the error says what does not fit."""

    def function(a: int, b: str = "", *c: int, **d: int) -> object:
        return a, b, c, d

    with suppress(InvalidParams):
        bind(function, params)
