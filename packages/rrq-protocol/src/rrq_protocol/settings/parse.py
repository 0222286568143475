"""From a tree, or from plain data, to checked settings. No file and no environment is read here."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from rrq_protocol.errors import SettingsError
from rrq_protocol.settings.aliases import expand_short_forms, rename_old_keys
from rrq_protocol.settings.checks import find_problems
from rrq_protocol.settings.convert import Converter
from rrq_protocol.settings.model import CronJob, Provenance, Settings
from rrq_protocol.settings.schema import TypeSpec, fields_of
from rrq_protocol.settings.tree import DEFAULT, OVERRIDE, Origin, Table, from_value, show_path

__all__ = ["Draft", "draft_tree", "layer", "parse_settings", "parse_tree"]


class Draft(msgspec.Struct, frozen=True):
    """Settings as far as they could be read.

    Attributes:
        settings: With placeholders where a value is none; to be used only where there is no problem.
        origins: Where each value came from, by dotted key path.
        problems: Everything found so far; empty for settings that are right.
        unreadable: Key paths, as they are shown, about which nothing further can be said.
        places: Where values and tables stand that somebody gave, by the key path as it is shown.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    problems: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    places: Mapping[str, Origin] = {}

    def concerning(self, further: Iterable[str]) -> list[str]:
        """Return those of further problems, each beginning with its key path, that no placeholder caused.

        Each ends with the place where its value was set.
        """
        return [
            f"{text}{self._place_of(text)}"
            for text in further
            if not any(_is_below(text, path) for path in self.unreadable)
        ]

    def _place_of(self, text: str) -> str:
        path = text.partition(": ")[0]
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f" ({self.places[path]})" if path else ""


def _is_below(text: str, path: str) -> bool:
    return text.startswith(path) and text[len(path) : len(path) + 1] in (".", "[", ":")


def parse_settings(values: Mapping[str, Any]) -> Settings:
    """Return checked settings made of plain data with the keys of ``rrq.toml``.

    Durations may be numbers of seconds, texts such as ``"5m"``, or timedelta. Neither files nor the
    environment are read: ``redis_dsn_file`` is kept as it is.

    Raises:
        SettingsError: With every problem found.
    """
    table, problems = layer(values, OVERRIDE)
    settings, _ = parse_tree(table, config_file=None, problems=problems)
    return settings


def layer(values: Mapping[str, Any], origin: Origin) -> tuple[Table, list[str]]:
    """Return one layer of values with today's key names, and its problems. None means "not given"."""
    try:
        node = from_value(_without_none(values), lambda _: origin)
    except ValueError as error:
        return Table({}, origin), [str(error)]
    assert isinstance(node, Table)
    return node, rename_old_keys(node)


def parse_tree(
    tree: Table, *, config_file: str | None, problems: list[str], dsn_file: str | None = None
) -> tuple[Settings, Mapping[str, Origin]]:
    """Return the settings of a merged tree, and the origin of every value by dotted key path.

    Args:
        tree: All layers in one, with today's key names.
        config_file: Path of the file among the layers, if any.
        problems: What was found before; reported together with what is found here.
        dsn_file: The file that ``redis_dsn`` was read from, if it was.

    Raises:
        SettingsError: With every problem found.
    """
    draft = draft_tree(tree, config_file=config_file, problems=problems, dsn_file=dsn_file)
    if draft.problems:
        raise SettingsError(draft.problems)
    return draft.settings, draft.origins


def draft_tree(
    tree: Table, *, config_file: str | None, problems: Sequence[str], dsn_file: str | None = None
) -> Draft:
    """Do as :func:`parse_tree` does, and return also what has problems."""
    tree = Table(dict(tree.entries), tree.origin)
    expand_short_forms(tree)
    converter = Converter()
    settings = converter.read(tree, TypeSpec(shape="struct", struct=Settings), ())
    assert isinstance(settings, Settings)
    broken = frozenset(converter.broken)
    settings = _with_stand_ins(_with_runner_mode(settings), broken)
    for path, text in find_problems(settings, broken):
        converter.note(path, text, converter.origin_of(path))
    # Of a field that cannot be read nothing more is said; of one with another mistake only not the same.
    unreadable = {path[:3] if path[0] == "cron_jobs" else path for path in broken} | converter.broken
    provenance = Provenance(config_file=config_file, given=frozenset(tree.entries), dsn_file=dsn_file)
    settings = msgspec.structs.replace(settings, provenance=provenance)
    return Draft(
        settings,
        MappingProxyType(_all_origins(settings, converter.origins)),
        (*problems, *converter.problems),
        tuple(sorted(map(show_path, unreadable))),
        converter.places(),
    )


def _with_stand_ins(settings: Settings, broken: frozenset[tuple[str, ...]]) -> Settings:
    """Put what is right in place of each field of a cron entry that cannot be read: the rest is judged."""
    stand_in = CronJob(function_name="unreadable", schedule="@daily")
    jobs = []
    for index, job in enumerate(settings.cron_jobs):
        entry = ("cron_jobs", f"[{index}]")
        fields = {path[2] for path in broken if path[:2] == entry and len(path) > 2}
        known = fields.intersection(CronJob.__struct_fields__)
        mended = msgspec.structs.replace(job, **{name: getattr(stand_in, name) for name in known})
        jobs.append(stand_in if entry in broken else mended)
    return msgspec.structs.replace(settings, cron_jobs=tuple(jobs))


def _with_runner_mode(settings: Settings) -> Settings:
    """Fill in the mode of runners that set none, so that nobody else needs to know the rule."""
    mode = settings.runner_management_mode
    runners = {
        name: runner if runner.mode is not None else msgspec.structs.replace(runner, mode=mode)
        for name, runner in settings.runners.items()
    }
    return msgspec.structs.replace(settings, runners=runners)


def _all_origins(settings: Settings, found: Mapping[str, Origin]) -> dict[str, Origin]:
    """Add the default's origin for every key nobody set, in the order of the model."""
    origins: dict[str, Origin] = {}

    def walk(value: object, path: tuple[str, ...]) -> None:
        if isinstance(value, msgspec.Struct):
            for name in fields_of(type(value)):
                walk(getattr(value, name), (*path, name))
        elif isinstance(value, dict) and value and path != ("cron_jobs",):
            for key, member in value.items():
                walk(member, (*path, str(key)))
        else:
            key_path = ".".join(path)
            origins[key_path] = found.get(key_path, DEFAULT)

    walk(settings, ())
    return origins


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
