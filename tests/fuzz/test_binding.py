"""Params from anywhere, bound to handlers of any signature (RELIABILITY.md F77, G15)."""

import inspect
import json
import random
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict
from uuid import UUID

import msgspec
import pytest

from rrq_protocol import (
    ErrorType,
    ExecutionContext,
    ExecutionError,
    ExecutionOutcome,
    ExecutionRequest,
    OutcomeStatus,
    ResponseMessage,
)
from rrq_protocol.frames import decode_body, encode_body
from rrq_runner import Context, InvalidParams
from rrq_runner.binding import Binder, read_signature
from support.fuzzing import Fuzz, Tree

SHARE = 1 / 10  # 30,000 of 300,000
HANDLERS = 400
NAMES = ("a", "b", "c", "args", "order", "größe")
OTHER_NAMES = (
    "rest", "more", "ctx", "id", "tags", "inner", "value", "unit", "left", "right", "deep", "limit",
    "handler", "params",
)  # fmt: skip
TOKENS = (
    *(name.encode() for name in (*NAMES, *OTHER_NAMES)), b"2026-01-01T00:00:00Z", b"2026-01-01", b"12:00:00",
    b"PT1H", b"00000000-0000-0000-0000-000000000000", b"1.5", b"red", b"x", b"MTIz", b"abc", b"true",
)  # fmt: skip


class Colour(Enum):
    """An Enum of texts."""

    RED = "red"


class Level(IntEnum):
    """An Enum of numbers."""

    HIGH = 2


class Item(msgspec.Struct):
    """A Struct with a constraint, nested in itself."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    tags: list[str] = []
    inner: "Item | None" = None


@dataclass
class Reading:
    """A dataclass whose own check may raise."""

    value: float
    unit: str = "m"

    def __post_init__(self) -> None:
        if self.unit == "":
            raise ZeroDivisionError("no unit")


class Options(TypedDict, total=False):
    """A TypedDict."""

    deep: bool
    limit: int


class Pair(NamedTuple):
    """A NamedTuple."""

    left: int
    right: str = ""


class Model:
    """What a model of a validation library looks like from here; its errors are of any type."""

    @classmethod
    def model_validate(cls, value: Any) -> "Model":
        """Take nothing but tables."""
        return cls() if isinstance(value, dict) else {}[value]


# Annotation, and what every value of it must be.
Holds = Callable[[Any], bool]


def _is(kind: type) -> Holds:
    return lambda value: type(value) is kind


def _or_none(kind: type) -> Holds:
    return lambda value: value is None or type(value) is kind


def _optional(holds: Holds) -> Holds:
    return lambda value: value is None or holds(value)


def _all(kind: type, parts: Callable[[Any], Iterable[Any]] = iter) -> Holds:
    return lambda value: all(type(each) is kind for each in parts(value))


TYPES: tuple[tuple[Any, Holds], ...] = (
    (int, _is(int)),
    (float, _is(float)),
    (bool, _is(bool)),
    (str, _is(str)),
    (bytes, _is(bytes)),
    (datetime, _is(datetime)),
    (date, _is(date)),
    (time, _is(time)),
    (timedelta, _is(timedelta)),
    (timedelta | None, _or_none(timedelta)),
    (UUID, _is(UUID)),
    (Decimal, _is(Decimal)),
    (PurePosixPath, _is(PurePosixPath)),
    (Colour, _is(Colour)),
    (Level, _is(Level)),
    (Literal["x", 1], lambda value: value in ("x", 1)),
    (Optional[int], _or_none(int)),  # noqa: UP045 - both spellings are used
    (int | str | None, lambda value: value is None or type(value) in (int, str)),
    (list[int], _all(int)),
    (dict[str, float], _all(float, dict.values)),
    (dict[int, str], _all(int)),
    (tuple[int, str], lambda value: type(value) is tuple and len(value) == 2),
    (tuple[Item, ...], _all(Item)),
    (set[str], _is(set)),
    (Item, lambda value: type(value) is Item and value.id >= 0),
    (Reading, _is(Reading)),
    (Options, lambda value: type(value) is dict and set(value) <= {"deep", "limit"}),
    (Pair, _is(Pair)),
    (Model, _is(Model)),
    (Annotated[str, msgspec.Meta(pattern="^[a-z]+$", max_length=5)], lambda value: len(value) <= 5),
    (Annotated[list[Any], msgspec.Meta(min_length=1)], lambda value: len(value) >= 1),
    (None, lambda value: value is None),
    (Any, lambda value: True),
    (object, lambda value: True),
    (inspect.Parameter.empty, lambda value: True),
)


# What JSON must have said for a value of these; "5" is no int and 1 is no bool.
LITERAL: dict[Any, tuple[type, ...]] = {
    int: (int, float),
    float: (int, float),
    bool: (bool,),
    str: (str,),
    Optional[int]: (int, float, type(None)),  # noqa: UP045 - as above
}


class Sample:
    """One handler: its signature, its binder, and what its parameters must be."""

    def __init__(self, rng: random.Random) -> None:
        self.holds: dict[str, Holds] = {}
        parameters = (
            [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)] if rng.random() < 0.3 else []
        )
        kinds = sorted(rng.choice((0, 1, 1, 1, 3)) for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 4))))
        defaulted = False
        for kind, name in zip(kinds, rng.sample(NAMES, len(kinds)), strict=True):
            annotation, holds = rng.choice(TYPES)
            defaulted = defaulted or rng.random() < 0.3
            default = inspect.Parameter.empty if not defaulted else None
            if parameters and parameters[0].name == "ctx" and kind == 0:
                kind = 1
            parameters.append(
                inspect.Parameter(name, inspect._ParameterKind(kind), annotation=annotation, default=default)
            )
            self.holds[name] = holds if default is not None else _optional(holds)
        self.extra = [_of(rng) if rng.random() < 0.3 else None for _ in range(2)]
        for kind, extra in zip((2, 4), self.extra, strict=True):
            if extra is not None:
                name = "rest" if kind == 2 else "more"
                parameters.append(inspect.Parameter(name, inspect._ParameterKind(kind), annotation=extra[0]))
        parameters.sort(key=lambda each: each.kind)
        self.signature = inspect.Signature(parameters)

        def handler(*_args: Any, **_kwargs: Any) -> None: ...

        handler.__signature__ = self.signature  # type: ignore[attr-defined]
        binder = read_signature("sample", handler)
        assert isinstance(binder, Binder)
        self.binder = binder


def _of(rng: random.Random) -> tuple[Any, Holds]:
    return rng.choice(TYPES)


REQUEST = ExecutionRequest(
    request_id="r",
    job_id="j",
    function_name="f",
    context=ExecutionContext(
        job_id="j", attempt=1, enqueue_time=datetime(2026, 1, 1, tzinfo=UTC), queue_name="q"
    ),
)
CONTEXT = Context(REQUEST, {})
# Which handlers there are does not depend on the run's seed, so that an input means the same in every run.
SAMPLES = [Sample(random.Random(number)) for number in range(HANDLERS)]


def is_known(sample: Sample, sent: dict[str, Any]) -> bool:
    """Whether this is the known defect that has its test below, and is not mended yet."""
    return "ctx" in sent and sample.binder.takes_context and sample.binder.takes_extra_names


def check(case: Any) -> Iterable[Hashable]:
    """Bind params: the call they make is lawful and every value is of its type, or they are refused."""
    case = case if isinstance(case, dict) else {}
    number, params = case.get("handler"), case.get("params")
    sample = SAMPLES[number % HANDLERS if isinstance(number, int) else 0]
    text = json.dumps(params if isinstance(params, dict) else {}, ensure_ascii=True)
    try:
        sent = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return ["no JSON"]  # lone surrogates, which no frame brings
    if is_known(sample, sent):
        return ["known"]
    try:
        args, kwargs = sample.binder.bind(sent, CONTEXT)
    except InvalidParams as error:
        return [_refused(error)]
    bound = sample.signature.bind(*args, **kwargs)
    for name, value in bound.arguments.items():
        holds = sample.holds.get(name)
        assert holds is None or holds(value), (name, value)
        said = LITERAL.get(sample.signature.parameters[name].annotation)
        if said is not None and name in sent and sample.signature.parameters[name].default is not None:
            assert type(sent[name]) in said, (name, sent[name])
    for extra, values in zip(
        sample.extra, (bound.arguments.get("rest", ()), bound.arguments.get("more", {})), strict=True
    ):
        for value in values.values() if isinstance(values, dict) else values:
            assert extra is not None
            assert extra[1](value), value
    given = {name for name in sent if name in sample.holds}
    if not isinstance(sent.get("args"), list):
        assert given <= set(bound.arguments)
    return ["bound", f"bound by {number}"]


def _refused(error: InvalidParams) -> Hashable:
    """A refusal can be sent, and is one that no other attempt can cure."""
    outcome = ExecutionOutcome(
        job_id="j",
        request_id="r",
        status=OutcomeStatus.ERROR,
        error=ExecutionError(
            message=str(error), type=ErrorType.INVALID_PARAMS, details={"field": error.field}
        ),
    )
    read = decode_body(encode_body(ResponseMessage(outcome)))
    assert isinstance(read, ResponseMessage)
    assert read.payload.error is not None
    assert read.payload.error.is_fatal
    return error.problem[:24]


def test_any_params_fit_a_handler_or_are_refused(fuzz: Fuzz) -> None:
    """For 400 signatures of every kind of parameter and type: params make a call that the handler can take,
    all values of the annotated type, or raise InvalidParams, which is final; nothing else.
    """
    report = fuzz.run("binding", Tree(TOKENS), check, share=SHARE)
    if fuzz.only is None:
        reached = [outcome for outcome in report.outcomes if str(outcome).startswith("bound by ")]
        assert len(reached) > HANDLERS // 3


def test_a_parameter_called_as_the_context_is_refused() -> None:
    """A handler of the context and any names: a parameter with the context's own name cannot be passed on,
    and another attempt would not help.
    """

    def handler(ctx: Context, **more: Any) -> None: ...

    binder = read_signature("sample", handler)
    assert binder is not None

    def call() -> None:
        args, kwargs = binder.bind({"ctx": 0}, CONTEXT)
        handler(*args, **kwargs)

    with pytest.raises(InvalidParams):
        call()
