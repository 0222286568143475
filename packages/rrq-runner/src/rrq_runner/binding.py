"""From the params of a request to the arguments of a function.

A signature is read once, at registration, into a :class:`Binder`; binding a request then is a loop over its
parameters. Values are converted by annotation, strictly: what JSON cannot say (dates, UUIDs, paths, enums,
Structs, dataclasses) is read from its usual JSON form, but ``"5"`` is no ``int`` and ``1`` is no ``bool``.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import partial
from pathlib import PurePath
from types import FunctionType, NoneType
from typing import Any, Final, Optional, get_args, get_type_hints

import msgspec

from rrq_protocol import ExecutionRequest
from rrq_runner.context import Context
from rrq_runner.errors import InvalidParams, RegistrationError

_Convert = Callable[[Any], Any]
_MISSING: Final = object()
_POSITIONAL_STYLE: Final = "args"


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    convert: _Convert | None
    default: Any
    positional_only: bool
    keyword_only: bool

    @property
    def required(self) -> bool:
        return self.default is _MISSING


@dataclass(frozen=True, slots=True)
class Binder:
    """Turns params into the arguments of one function.

    ``params={"args": [1, 2], "x": 3}``, the positional style of earlier versions, binds the list by position
    unless the function has a parameter called ``args`` itself.
    """

    parameters: tuple[_Parameter, ...]
    takes_context: bool
    takes_extra_args: bool
    takes_extra_names: bool
    convert_extra_arg: _Convert | None = None
    convert_extra_name: _Convert | None = None
    spreads_args: bool = True
    context_name: str = ""

    def bind(self, params: Mapping[str, Any], context: Context) -> tuple[list[Any], dict[str, Any]]:
        """Return positional and keyword arguments for a call with ``params``.

        Raises:
            InvalidParams: A parameter is missing, unknown, given twice, or its value does not fit the
                annotation.
        """
        args: list[Any] = [context] if self.takes_context else []
        extra: list[Any] = []
        if self.spreads_args and isinstance(params.get(_POSITIONAL_STYLE), list):
            params, extra = self._spread(params)
        kwargs: dict[str, Any] = {}
        found = 0
        for parameter in self.parameters:
            value = params.get(parameter.name, _MISSING)
            if value is not _MISSING:
                found += 1
                if parameter.convert is not None:
                    value = _converted(parameter.name, parameter.convert, value)
            elif parameter.default is _MISSING:
                raise self._missing(params)
            elif not (parameter.positional_only or extra):
                continue
            else:
                value = parameter.default
            if parameter.positional_only or (extra and not parameter.keyword_only):
                args.append(value)
            else:
                kwargs[parameter.name] = value
        if found != len(params):
            self._add_unknown(params, kwargs)
        if extra:
            args.extend(self._extra(extra))
        return args, kwargs

    def _spread(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        """Give the items of ``params["args"]`` the names of the positional parameters.

        Return what is left over.
        """
        named = {name: value for name, value in params.items() if name != _POSITIONAL_STYLE}
        items: list[Any] = params[_POSITIONAL_STYLE]
        names = [parameter.name for parameter in self.parameters if not parameter.keyword_only]
        for name, item in zip(names, items, strict=False):
            if name in named:
                raise InvalidParams(name, "given twice, by position in args and by name")
            named[name] = item
        extra = items[len(names) :]
        if extra and not self.takes_extra_args:
            raise InvalidParams(
                _POSITIONAL_STYLE, f"expected at most {len(names)} positional values, got {len(items)}"
            )
        return named, extra

    def _extra(self, values: list[Any]) -> list[Any]:
        convert = self.convert_extra_arg
        if convert is None:
            return values
        first = sum(not parameter.keyword_only for parameter in self.parameters)
        return [_converted(f"args[{first + i}]", convert, value) for i, value in enumerate(values)]

    def _missing(self, params: Mapping[str, Any]) -> InvalidParams:
        names = [each.name for each in self.parameters if each.required and each.name not in params]
        unknown = self._unknown(params)
        problem = "required, but missing from params"
        if len(names) > 1:
            problem += f" (missing: {', '.join(names)})"
        if unknown and not self.takes_extra_names:
            problem += f"; params has unknown {', '.join(map(repr, unknown))}"
        return InvalidParams(names[0], problem)

    def _unknown(self, params: Mapping[str, Any]) -> list[str]:
        known = {parameter.name for parameter in self.parameters}
        return [name for name in params if name not in known]

    def _add_unknown(self, params: Mapping[str, Any], kwargs: dict[str, Any]) -> None:
        unknown = self._unknown(params)
        if not self.takes_extra_names:
            names = [parameter.name for parameter in self.parameters]
            takes = f"the handler takes {', '.join(names)}" if names else "the handler takes no parameters"
            nearest = get_close_matches(unknown[0], names, n=1)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            others = f" (also unknown: {', '.join(map(repr, unknown[1:]))})" if len(unknown) > 1 else ""
            raise InvalidParams(unknown[0], f"unknown parameter{others}; {hint}{takes}")
        if self.context_name in unknown:
            raise InvalidParams(self.context_name, "the handler's context has this name, so no parameter can")
        convert = self.convert_extra_name
        for name in unknown:
            value = params[name]
            kwargs[name] = value if convert is None else _converted(name, convert, value)


def read_signature(name: str, function: Callable[..., Any]) -> Binder | None:
    """Return the binder for ``function``, or None if it wants the request as it came.

    It does if its only parameter is annotated ``ExecutionRequest``.

    Raises:
        RegistrationError: The signature cannot be read, or a parameter cannot be filled from JSON.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError, NameError) as error:
        raise RegistrationError(name, f"its signature cannot be read: {error}") from error
    parameters = list(signature.parameters.values())
    hints = {each.name: _hint(name, each, function) for each in parameters}
    if len(parameters) == 1 and hints[parameters[0].name] is ExecutionRequest:
        return None
    takes_context = bool(parameters) and _is_context(parameters[0], hints[parameters[0].name])
    rest = parameters[1:] if takes_context else parameters
    for each in rest:
        if hints[each.name] is Context or each.name == "ctx":
            raise RegistrationError(
                name, f"the context must be its first parameter, but {each.name!r} is not"
            )
        if hints[each.name] is ExecutionRequest:
            raise RegistrationError(
                name,
                "a handler that takes the request takes nothing else; the context is request.context",
            )
    return _binder(name, rest, hints, parameters[0] if takes_context else None)


def _is_context(parameter: inspect.Parameter, hint: Any) -> bool:
    by_position = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return by_position and (parameter.name == "ctx" or hint is Context)


def _binder(
    name: str, parameters: list[inspect.Parameter], hints: dict[str, Any], context: inspect.Parameter | None
) -> Binder:
    bound: list[_Parameter] = []
    extra: dict[inspect._ParameterKind, _Convert | None] = {}
    for each in parameters:
        convert = _converter(name, each, hints[each.name])
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            extra[each.kind] = convert
            continue
        bound.append(
            _Parameter(
                name=each.name,
                convert=convert,
                default=_MISSING if each.default is each.empty else each.default,
                positional_only=each.kind is each.POSITIONAL_ONLY,
                keyword_only=each.kind is each.KEYWORD_ONLY,
            )
        )
    return Binder(
        parameters=tuple(bound),
        takes_context=context is not None,
        context_name="" if context is None or context.kind is context.POSITIONAL_ONLY else context.name,
        takes_extra_args=inspect.Parameter.VAR_POSITIONAL in extra,
        takes_extra_names=inspect.Parameter.VAR_KEYWORD in extra,
        convert_extra_arg=extra.get(inspect.Parameter.VAR_POSITIONAL),
        convert_extra_name=extra.get(inspect.Parameter.VAR_KEYWORD),
        spreads_args=all(each.name != _POSITIONAL_STYLE for each in bound),
    )


def _hint(name: str, parameter: inspect.Parameter, function: Callable[..., Any]) -> Any:
    """Return the annotation of one parameter with forward references resolved; Any where there is none."""
    if parameter.annotation is parameter.empty:
        return Any
    target = inspect.unwrap(function)
    target = getattr(target, "func", target)  # functools.partial
    if not inspect.isroutine(target):
        target = type(target).__call__
    module = getattr(target, "__globals__", {})
    # These two are often imported under TYPE_CHECKING only; they are known here.
    namespace = {"Context": Context, "ExecutionRequest": ExecutionRequest} | module
    # One parameter at a time, on a function of our own: a return annotation that cannot be resolved is no
    # obstacle.
    carrier = FunctionType((lambda: None).__code__, namespace)
    carrier.__annotations__ = {"hint": parameter.annotation}
    try:
        return get_type_hints(carrier, include_extras=True)["hint"]
    except Exception as error:
        raise RegistrationError(
            name,
            f"the annotation of parameter {parameter.name!r} cannot be resolved ({error}); "
            "import its names at run time, not only for type checkers, and define its types at module level",
        ) from error


def _converter(name: str, parameter: inspect.Parameter, hint: Any) -> _Convert | None:
    if hint is Any or hint is object:
        return None
    if parameter.default is None:
        hint = Optional[hint]  # noqa: UP045 - hint is a value here; `|` fails for some of them
    try:
        unfit = _custom_type(msgspec.inspect.type_info(hint), set())
    except (TypeError, NameError, RecursionError) as error:
        unfit = str(error)
    if unfit is not None:
        raise RegistrationError(
            name,
            f"parameter {parameter.name!r} cannot be read from JSON: {unfit}; "
            "use JSON types, datetime, UUID, Decimal, Path, enums, Structs, dataclasses or TypedDicts",
        )
    return partial(msgspec.convert, type=hint, strict=not _is_duration(hint), dec_hook=_decode_custom)


def _is_duration(hint: Any) -> bool:
    # Durations are seconds throughout RRQ; msgspec reads numbers as seconds only when not strict.
    return hint is timedelta or set(get_args(hint)) == {timedelta, NoneType}


def _custom_type(info: Any, seen: set[int]) -> str | None:
    """Return a description of the first type inside ``info`` that no conversion exists for."""
    if id(info) in seen:
        return None
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        known = issubclass(info.cls, PurePath) or hasattr(info.cls, "model_validate")
        return None if known else f"type {info.cls.__qualname__} is not supported"
    if isinstance(info, tuple | list):
        children = list(info)
    elif isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        children = [getattr(info, field) for field in info.__struct_fields__]
    else:
        return None
    return next((found for child in children if (found := _custom_type(child, seen)) is not None), None)


def _decode_custom(kind: type[Any], value: Any) -> Any:
    if issubclass(kind, PurePath):
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{_json_name(value)}`")
        return kind(value)
    return kind.model_validate(value)


def _json_name(value: Any) -> str:
    return (
        "null"
        if value is None
        else {"list": "array", "dict": "object"}.get(type(value).__name__, type(value).__name__)
    )


def _converted(name: str, convert: _Convert, value: Any) -> Any:
    try:
        return convert(value)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        problem = problem[:1].lower() + problem[1:].replace("`", "")
        raise InvalidParams(f"{name}{path.rstrip('`')}", problem) from None
    except Exception as error:  # noqa: BLE001 - a type's own constructor may raise anything
        raise InvalidParams(name, f"cannot be read as its type: {error}") from None
