"""The runners of examples/ pass on their transports, but for what docs/conformance.md names."""

import shlex
from collections.abc import Iterator

import pytest

from support.conformance import Judging, found
from support.languages import LANGUAGES, Unbuilt, built
from support.rules import ROOT


@pytest.fixture(scope="module")
def judgings() -> Iterator[dict[str, Judging | Unbuilt]]:
    """Serve what the checks say of each example: all are tried at the same time."""
    started: dict[str, Judging | Unbuilt] = {}
    for name, language in LANGUAGES.items():
        try:
            started[name] = Judging(shlex.join(built(name)), language.kinds, language.folder)
        except Unbuilt as error:
            started[name] = error
    yield started
    for each in started.values():
        if isinstance(each, Judging):
            each.end()


@pytest.mark.parametrize("name", LANGUAGES)
def test_an_example_conforms(name: str, judgings: dict[str, Judging | Unbuilt]) -> None:
    """Nothing is found that is not known, and what is known is still so."""
    judging = judgings[name]
    if isinstance(judging, Unbuilt):
        pytest.skip(str(judging))
    documents = judging.documents()
    findings = [found(document) for document in documents.values()]
    assert {check for each in findings for check in each} == LANGUAGES[name].known, findings
    assert all(document["conforms"] for document in documents.values())


def test_what_is_known_is_documented() -> None:
    """The page names each check that an example does not pass."""
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    for language in LANGUAGES.values():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| [{language.name}](")]
        assert all(f"`{check}`" in row for check in language.known)
        assert all(kind in row for kind in language.kinds)
