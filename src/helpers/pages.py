"""One executed notebook -> one HTML page that needs no other host and no script."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import bleach
import mistune
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode

_TEMPLATES = Path(__file__).parent / "templates"
_TABLE_TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "div", "span"}
_TABLE_ATTRIBUTES = {"*": ["class", "scope", "colspan", "rowspan"]}


@dataclass(frozen=True)
class Page:
    """What stands around a notebook's cells.

    Attributes
    ----------
    name
        Name of the run; the page is ``<name>.html``.
    title, description
        The finding in one line; a sentence for search engines.
    caveat, attribution, licence
        The source's words.
    command
        The command that makes this report again.
    links
        The pages of the report: mappings with href, text, current.
    downloads
        Files of the report, as relative paths.
    notebook
        Relative path of the executed notebook.
    """

    name: str
    title: str
    description: str
    caveat: str
    attribution: str
    licence: str
    command: str
    links: Sequence[Mapping[str, Any]] = ()
    downloads: Sequence[str] = ()
    notebook: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


class _Headings(mistune.HTMLRenderer):
    """Headings with an id and a permalink."""

    def heading(self, text: str, level: int, **_attrs: Any) -> str:
        slug = slugify(text)
        link = f'<a class="anchor" href="#{slug}" aria-label="Link to this section">#</a>'
        return f'<h{level} id="{slug}">{text}{link}</h{level}>\n'


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


@cache
def _exporter() -> HTMLExporter:
    exporter = HTMLExporter(
        template_name="frontline",
        extra_template_basedirs=[str(_TEMPLATES)],
        extra_template_paths=[str(_TEMPLATES / "frontline")],
    )
    exporter.register_filter("markdown_page", markdown_page)
    exporter.register_filter("safe_table", safe_table)
    exporter.register_filter("without_title", _without_title)
    return exporter


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def figures(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the figures of a report, ready for a page.

    Parameters
    ----------
    folder
        The report's ``figures`` folder, with ``<name>.json`` beside the renditions.

    Returns
    -------
    dict
        Name to alt text, caption, the two PNG renditions as data URIs, and download links.
    """
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
            for kind in ("wide", "phone")
        }
        files = [
            {"href": f"figures/{name}-wide.png", "text": "PNG"},
            {"href": f"figures/{name}-wide.svg", "text": "SVG"},
            {"href": f"figures/{name}-phone.png", "text": "PNG for phones"},
        ]
        found[name] = {
            "name": name,
            "alt": record["alt"],
            "caption": record["caption"],
            "files": files,
            **renditions,
        }
    return found


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


def render(notebook: NotebookNode, page: Page, pictures: Mapping[str, Any]) -> str:
    """Render an executed notebook as a page.

    Parameters
    ----------
    notebook
        The executed notebook. Its first cell (what it is, how to run it) shows with the code.
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
        "figures": pictures,
    }
    resources = {
        "page": around,
        "stylesheet": (_TEMPLATES / "frontline" / "page.css").read_text(),
    }
    body, _ = _exporter().from_notebook_node(notebook, resources=resources)
    return str(body)
