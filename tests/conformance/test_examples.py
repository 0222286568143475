"""The runners of examples/ pass on their transports, but for what docs/conformance.md names."""

import shlex

import pytest

from support.conformance import found, judged
from support.languages import LANGUAGES, Unbuilt, built
from support.rules import ROOT


@pytest.mark.parametrize("name", LANGUAGES)
def test_an_example_conforms(name: str) -> None:
    """Nothing is found that is not known, and what is known is still so."""
    language = LANGUAGES[name]
    try:
        command = built(name)
    except Unbuilt as error:
        pytest.skip(str(error))
    documents = judged(shlex.join(command), language.kinds, language.folder)
    assert {kind: found(document) for kind, document in documents.items() if found(document)} == {} or {
        check for document in documents.values() for check in found(document)
    } == language.known


def test_what_is_known_is_documented() -> None:
    """The page names each check that an example does not pass."""
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    for language in LANGUAGES.values():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| [{language.name}](")]
        assert all(f"`{check}`" in row for check in language.known)
        assert all(kind in row for kind in language.kinds)
