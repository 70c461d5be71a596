"""One word for one thing: the glossary's words, and none of the others."""

import re
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from helpers import cli
from helpers.workspace import PROJECT

GLOSSARY = PROJECT / "docs" / "glossary.md"
# What the glossary calls "not", as it would stand in a sentence; with whom it belongs to otherwise.
FORBIDDEN = {
    r"\bliberat(e|ed|ion)\b": "gained, lost",
    r"\boccupied\b": "assessed",
    r"\b(AOI|[Rr]egions? of interest|[Aa]reas? of interest)\b": "sector",
    r"\b[Ll]ocalit(y|ies)\b": "settlement",
    r"\b[Dd]atasets?\b": "source",
    r"\b[Vv]endors?\b": "publisher",
    r"\b[Ff]eeds? of maps\b": "source",
    r"\b(as-of date|file date)\b": "assessed day",
    r"\b(black|white)list": "quarantined",
    r"\bLOC\b": "line of contact",
    r"\b(the|a) front ?line\b": "line of contact",
    r"\b(enemy|troops|orcs|special military operation)\b": "Russian forces, Ukrainian forces",
    r"\bpositions of (units|troops|forces)\b": "nothing: it is not in the data",
}
WORDS = re.findall(r"^\| ([\w ,]+?) \|", GLOSSARY.read_text(), re.MULTILINE)[1:]


def prose(path: Path) -> str:
    """What a person reads in a file: no code."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = path.read_text()
    if path.suffix == ".md":
        text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|\"[^\"]*\"", "", text, flags=re.DOTALL)
    return text


TEXTS = [
    *PROJECT.glob("*.md"),
    *(path for path in PROJECT.glob("docs/*.md") if path != GLOSSARY),
    *PROJECT.glob("notebooks/*.ipynb"),
    *PROJECT.glob("src/helpers/texts/*.toml"),
    *PROJECT.glob("src/helpers/templates/*/*.j2"),
]


def faults(text: str) -> list[str]:
    found = ((word, re.search(word, text)) for word in FORBIDDEN)
    return [f"{match[0]!r}: say {FORBIDDEN[word]}" for word, match in found if match]


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.relative_to(PROJECT).as_posix())
def test_no_page_uses_another_word(path):
    assert faults(prose(path)) == []


def test_no_help_uses_another_word():
    for name in cli.main.commands:
        assert faults(CliRunner().invoke(cli.main, [name, "--help"]).output) == [], name


def test_another_word_is_seen():
    assert faults("Two localities were liberated near the frontline.") == [
        "'liberated': say gained, lost",
        "'localities': say settlement",
        "'the frontline': say line of contact",
    ]


def test_every_word_of_the_glossary_is_in_use():
    everything = "\n".join(prose(path) for path in TEXTS).lower()
    code = "\n".join(path.read_text() for path in PROJECT.glob("src/helpers/*.py")).lower()
    assert len(WORDS) > 15
    for entry in WORDS:
        for word in entry.lower().split(", "):
            assert word in everything, word
            assert word.replace(" ", "_") in code or word in code, word


def test_every_public_name_uses_the_words():
    names = "\n".join(
        "\n".join(re.findall(r"^(?:    )?(?:def|class) (\w+)", path.read_text(), re.MULTILINE))
        for path in PROJECT.glob("src/helpers/**/*.py")
    ).replace("_", " ")
    assert not re.search(r"\b(liberated|locality|aoi|dataset|vendor)\b", names)
