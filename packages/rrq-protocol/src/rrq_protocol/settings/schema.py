"""Read the settings model as a schema: what each field expects, its default, its meaning.

One walk over the annotations serves the parser, the error texts and the generated reference.
"""

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from rrq_protocol.settings.model import Settings
from rrq_protocol.settings.secret import Secret

__all__ = [
    "HIDDEN_FIELDS",
    "FieldSpec",
    "Shape",
    "TypeSpec",
    "environment_name",
    "expected",
    "fields_of",
    "spec_at",
]

Shape = Literal["bool", "int", "float", "str", "secret", "choice", "list", "table", "struct", "any"]

# Fields of Settings that are no configuration keys.
HIDDEN_FIELDS: Final = frozenset({"provenance"})

_SCALARS: Final[Mapping[object, Shape]] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    Secret: "secret",
    Any: "any",
}


class TypeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What one value must be.

    Attributes:
        shape: The kind of value.
        kind: A finer meaning ("duration", "size", "queue", "runner", "function", "private"), or "".
        optional: Whether None is a value.
        ge, gt, le: Range of a number.
        choices: The texts a choice allows.
        key: What the keys of a table must be.
        item: What the members of a list or table must be.
        struct: The class of a nested table with fixed keys.
    """

    shape: Shape
    kind: str = ""
    optional: bool = False
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    choices: tuple[str, ...] = ()
    key: "TypeSpec | None" = None
    item: "TypeSpec | None" = None
    struct: type[msgspec.Struct] | None = None


class FieldSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration key.

    Attributes:
        required: Whether it has no default.
        default: The default value; None where ``required``.
        default_text: How the reference words the default, or None where the value speaks for itself.
    """

    name: str
    type: TypeSpec
    description: str
    required: bool
    default: Any
    default_text: str | None


@cache
def fields_of(struct: type[msgspec.Struct]) -> Mapping[str, FieldSpec]:
    """Return the configuration keys of a settings class, in order."""
    hints = get_type_hints(struct, include_extras=True)
    return {
        info.name: _field(info, hints[info.name])
        for info in msgspec.structs.fields(struct)
        if info.name not in HIDDEN_FIELDS
    }


def _field(info: msgspec.structs.FieldInfo, hint: Any) -> FieldSpec:
    metas = hint.__metadata__ if get_origin(hint) is Annotated else ()
    description = next((meta.description for meta in metas if meta.description), "")
    texts = [meta.extra["default"] for meta in metas if meta.extra and "default" in meta.extra]
    if info.default_factory is not msgspec.NODEFAULT:
        default = info.default_factory()
    else:
        default = None if info.required else info.default
    return FieldSpec(
        name=info.name,
        type=_type_spec(hint),
        description=description,
        required=info.required,
        default=default,
        default_text=texts[0] if texts else None,
    )


def _type_spec(hint: Any) -> TypeSpec:
    if get_origin(hint) is Annotated:
        base, *metas = get_args(hint)
        return _with_metas(_type_spec(base), metas)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (inner,) = (arg for arg in args if arg is not NoneType)
        return msgspec.structs.replace(_type_spec(inner), optional=True)
    if origin is Literal:
        return TypeSpec(shape="choice", choices=args)
    if origin is tuple:
        return TypeSpec(shape="list", item=_type_spec(args[0]))
    if origin is dict:
        return TypeSpec(shape="table", key=_type_spec(args[0]), item=_type_spec(args[1]))
    if hint in _SCALARS:
        return TypeSpec(shape=_SCALARS[hint])
    assert issubclass(hint, msgspec.Struct), f"the settings model uses an unknown type: {hint!r}"
    return TypeSpec(shape="struct", struct=hint)


def _with_metas(spec: TypeSpec, metas: list[msgspec.Meta]) -> TypeSpec:
    for meta in metas:
        bounds = {name: value for name in ("ge", "gt", "le") if (value := getattr(meta, name)) is not None}
        kind = (meta.extra or {}).get("kind", spec.kind)
        spec = msgspec.structs.replace(spec, kind=kind, **bounds)
    return spec


def expected(spec: TypeSpec) -> str:
    """Say in a few words what a value must be, e.g. ``int >= 1`` or ``one of "dlq", "retry"``."""
    match spec:
        case TypeSpec(kind="duration"):
            words = f'a duration{_range(spec)} (seconds, or "90s", "5m", "2h")'
        case TypeSpec(kind="size"):
            words = f'a size{_range(spec)} (bytes, or "64KiB", "512MiB")'
        case TypeSpec(shape="choice"):
            words = "one of " + ", ".join(f'"{choice}"' for choice in spec.choices)
        case TypeSpec(shape="list", item=TypeSpec() as item):
            words = f"a list of {_several(item)}"
        case TypeSpec(shape="table", item=TypeSpec() as item):
            words = "a table" if item.shape == "any" else f"a table of {_several(item)}"
        case TypeSpec(shape="struct"):
            words = "a table"
        case TypeSpec(shape="secret"):
            words = "str"
        case _:
            words = f"{spec.shape}{_range(spec)}"
    return words


def _several(spec: TypeSpec) -> str:
    return "tables" if spec.shape == "struct" else expected(spec)


def _range(spec: TypeSpec) -> str:
    words = [f"{sign} {bound:g}" for sign, bound in ((">=", spec.ge), (">", spec.gt)) if bound is not None]
    if spec.le is not None:
        words.append(f"<= {int(spec.le)}")
    return " " + " and ".join(words) if words else ""


def environment_name(path: tuple[str, ...]) -> str:
    """Return the environment variable of a key path, e.g. ``RRQ_RUNNERS__PYTHON__POOL_SIZE``."""
    return "RRQ_" + "__".join(part.upper().replace("-", "_") for part in path)


def spec_at(path: tuple[str, ...]) -> TypeSpec | None:
    """Return what the value at a key path must be, or None where the model has no such key."""
    spec = TypeSpec(shape="struct", struct=Settings)
    for part in path:
        if spec.struct is not None:
            field = fields_of(spec.struct).get(part)
            if field is None:
                return None
            spec = field.type
        elif spec.shape == "table" and spec.item is not None:
            spec = spec.item
        elif spec.shape != "any":
            return None
    return spec
