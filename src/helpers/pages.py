"""One executed notebook -> one HTML page that needs no other host and no script."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import bleach
import mistune
import nbformat
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbformat import NotebookNode
from PIL import Image

_KINDS = ("wide", "phone")
_TEMPLATES = Path(__file__).parent / "templates"
_TABLE_TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "div", "span"}
_TABLE_ATTRIBUTES = {"*": ["class", "scope", "colspan", "rowspan"]}

# The figures of a page are inside it, so their weight is the page's. Quality of the few with a
# picture under the map, which have more colours than a palette.
_PHOTO_QUALITY = 85

# The data behind a figure, by how its name begins; ``{key}`` is the rest of the name.
_BEHIND = (
    ("sector-map-", ("change-{key}.csv", "change-{key}.geojson", "settlements-{key}.csv")),
    ("advance-", ("measures.csv",)),
)

# The two places of a page that an archive fills: what it says is no part of the report, so that the
# report's bytes, and their hashes, do not depend on which other reports there are.
_SLOTS = ("head", "dates")
_SLOT = re.compile(
    rb"<!--archive:(?P<name>" + "|".join(_SLOTS).encode() + rb")-->(?P<text>.*?)<!--/archive-->",
    re.DOTALL,
)


@dataclass(frozen=True)
class Page:
    """What stands around a notebook's cells.

    Attributes
    ----------
    name
        Name of the run; the page is ``<name>.html``.
    title, description
        The finding in one line; a sentence for search engines.
    dateline
        Which days, in words.
    caveat, attribution, licence, positional_error
        The source's words.
    command
        The command that makes this report again.
    folder
        Name of the report's folder.
    links
        The pages of the report: mappings with href, text, current.
    downloads
        Files of the report, as relative paths.
    notebook
        Relative path of the executed notebook.
    inputs
        The files that were read: mappings with path, assessed_day, sha256.
    """

    name: str
    title: str
    description: str
    dateline: str
    caveat: str
    attribution: str
    licence: str
    positional_error: str
    command: str
    folder: str
    links: Sequence[Mapping[str, Any]] = ()
    downloads: Sequence[str] = ()
    notebook: str = ""
    inputs: Sequence[Mapping[str, str]] = ()


class _Headings(mistune.HTMLRenderer):
    """Headings with an id and a permalink."""

    def heading(self, text: str, level: int, **_attrs: Any) -> str:
        slug = slugify(text)
        link = f'<a class="anchor" href="#{slug}" aria-label="Link to this section">#</a>'
        return f'<h{level} id="{slug}">{text}{link}</h{level}>\n'

    def table_cell(self, text: str, *, align: str | None = None, head: bool = False) -> str:
        cell = "th" if head else "td"
        scope = ' scope="col"' if head else ""
        number = ' class="number"' if align == "right" else ""
        return f"<{cell}{scope}{number}>{text}</{cell}>\n"


def slugify(text: str) -> str:
    """Make the id of a heading: lower-case words joined by hyphens."""
    plain = re.sub(r"<[^>]+>|&\w+;", "", text)
    return re.sub(r"[^\w]+", "-", plain.lower()).strip("-")


@cache
def _markdown() -> mistune.Markdown:
    # Raw HTML in a text is escaped: texts come from data, too.
    return mistune.create_markdown(renderer=_Headings(escape=True), plugins=["table"])


def markdown_page(text: str) -> str:
    """Turn Markdown into HTML; raw HTML in it is shown as text."""
    return str(_markdown()(text))


def safe_table(text: str) -> str:
    """Keep of an HTML output what a table needs; scripts, styles and links go."""
    cleaned = bleach.clean(text, tags=_TABLE_TAGS, attributes=_TABLE_ATTRIBUTES, strip=True)
    return str(cleaned)


class _Exporter(HTMLExporter):
    """nbconvert's own, but that it takes a page as the template makes it.

    It would take the page apart to look for pictures without a text and cells without a focus, of
    which ours has none, and that takes as long as making it.
    """

    def from_notebook_node(  # type: ignore[override]  # as nbconvert does
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **settings: Any
    ) -> tuple[str, dict[str, Any]]:
        """Fill the template."""
        page: tuple[str, dict[str, Any]] = TemplateExporter.from_notebook_node(
            self, nb, self._init_resources(resources), **settings
        )
        return page


@cache
def _exporter() -> _Exporter:
    exporter = _Exporter(
        template_name="frontline",
        extra_template_basedirs=[str(_TEMPLATES)],
        extra_template_paths=[str(_TEMPLATES / "frontline")],
        # Once at the end, not after each of a dozen steps.
        optimistic_validation=True,
    )
    exporter.register_filter("markdown_page", markdown_page)
    exporter.register_filter("safe_table", safe_table)
    exporter.register_filter("without_title", _without_title)
    exporter.register_filter("table_name", _table_name)
    return exporter


def _data_uri(path: Path) -> str:
    """A picture as a data URI: the file itself, or a WebP where that would be too heavy."""
    data, kind = path.read_bytes(), "png"
    with Image.open(io.BytesIO(data)) as image:
        if image.mode != "P":
            buffer, kind = io.BytesIO(), "webp"
            image.save(buffer, "WEBP", quality=_PHOTO_QUALITY, method=4)
            data = buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def figures(folder: Path, *, data: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Read the figures of a report, ready for a page.

    Parameters
    ----------
    folder
        The report's ``figures`` folder, with ``<name>.json`` beside the renditions.
    data
        The data files of the report that may be linked, as relative paths.

    Returns
    -------
    dict
        Name to alt text, caption, the two renditions as data URIs, links to the files of the
        figure, and to the data behind it.
    """
    known = tuple(data)
    found = {}
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        name = path.stem
        renditions = {
            kind: {
                "uri": _data_uri(folder / f"{name}-{kind}.png"),
                "width": record["renditions"][kind]["width"],
                "height": record["renditions"][kind]["height"],
            }
            for kind in _KINDS
        }
        files = [
            {"href": f"figures/{name}-wide.png", "text": "PNG"},
            {"href": f"figures/{name}-wide.svg", "text": "SVG"},
            {"href": f"figures/{name}-phone.png", "text": "PNG for phones"},
            {"href": f"figures/{name}-phone.svg", "text": "SVG for phones"},
        ]
        found[name] = {
            "name": name,
            "alt": record["alt"],
            "caption": record["caption"],
            "files": files,
            "data": _behind(name, known),
            **renditions,
        }
    return found


def _behind(figure: str, known: Sequence[str]) -> list[str]:
    wanted = [f"data/{figure}.csv", f"data/{figure}.geojson"]
    for start, names in _BEHIND:
        if figure.startswith(start):
            key = figure.removeprefix(start)
            wanted += [f"data/{name.format(key=key)}" for name in names]
    return [path for path in wanted if path in known]


def _without_title(text: str) -> str:
    """Drop the notebook's own title: the page has the finding there."""
    return re.sub(r"^# .*\n?", "", text, count=1)


def _question(notebook: NotebookNode) -> str:
    """The notebook's first heading: the question it answers."""
    for cell in notebook.cells:
        match = re.search(r"^# (.+)$", cell.source, flags=re.MULTILINE)
        if cell.cell_type == "markdown" and match:
            return match.group(1).strip()
    return ""


def _contents(notebook: NotebookNode) -> list[dict[str, str]]:
    headings = [
        match
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for match in re.findall(r"^## (.+)$", cell.source, flags=re.MULTILINE)
    ]
    return [{"id": slugify(html.escape(text)), "text": text} for text in headings]


def _code(notebook: NotebookNode) -> list[dict[str, str]]:
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    return [
        {"id": f"code-{cell.execution_count or f'unrun-{number}'}", "source": cell.source}
        for number, cell in enumerate(cells, 1)
    ]


def _intro(notebook: NotebookNode) -> str:
    first = notebook.cells[0] if notebook.cells else None
    return first.source if first is not None and first.cell_type == "markdown" else ""


def _table_name(text: str) -> str:
    """Caption of a table, for who hears the page."""
    found = re.search(r"<caption>(.*?)</caption>", text, flags=re.DOTALL)
    return html.unescape(found.group(1)) if found else "Table"


def _slot(name: str, text: str = "") -> str:
    return f"<!--archive:{name}-->{text}<!--/archive-->"


def fill(page: bytes, texts: Mapping[str, str]) -> bytes:
    """Fill the places that a page keeps for an archive.

    Parameters
    ----------
    page
        A page made by `render`, or one that was filled before.
    texts
        HTML by place: "head" and "dates". A place that is not named is emptied, so
        ``fill(page, {})`` is the page as the report has it.

    Returns
    -------
    bytes
        The page.
    """
    return _SLOT.sub(
        lambda found: _slot(found["name"].decode(), texts.get(found["name"].decode(), "")).encode(),
        page,
    )


def places(page: bytes) -> dict[str, str]:
    """What stands in the places that a page keeps for an archive, by place."""
    return {found["name"].decode(): found["text"].decode() for found in _SLOT.finditer(page)}


def render(notebook: NotebookNode, page: Page, pictures: Mapping[str, Any]) -> str:
    """Render an executed notebook as a page.

    Parameters
    ----------
    notebook
        The executed notebook. Its first cell (what it is, how to run it) stands with the code.
    page
        What stands around it.
    pictures
        The figures by name, from `figures`.

    Returns
    -------
    str
        A complete HTML document. Styles and pictures are inside; no request leaves it.
    """
    around = {
        **{name: getattr(page, name) for name in page.__dataclass_fields__},
        "kicker": _question(notebook),
        "contents": _contents(notebook),
        "intro": _intro(notebook),
        "code": _code(notebook),
        "figures": pictures,
    }
    resources = {
        "page": around,
        "slots": {name: _slot(name) for name in _SLOTS},
        "stylesheet": stylesheet(),
    }
    body, _ = _exporter().from_notebook_node(notebook, resources=resources)
    return str(body)


@cache
def prepare() -> None:
    """Do once what the first page would wait for: templates compiled, parsers made."""
    table = nbformat.v4.new_output("execute_result", {"text/html": "<table></table>"})
    cell = nbformat.v4.new_code_cell("1", outputs=[table], execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# None"), cell])
    empty: dict[str, Any] = {field.name: "" for field in fields(Page) if field.default is MISSING}
    render(notebook, Page(**empty), {})


@cache
def stylesheet() -> str:
    """The style sheet of every page, without the line breaks that only its authors need."""
    text = (_TEMPLATES / "frontline" / "page.css").read_text()
    return re.sub(r"\s*\n\s*", " ", text).strip()
