"""The pages of the archive: text in, text out; nothing is written here."""

from __future__ import annotations

import calendar
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from helpers import findings, pages, reference, sources
from helpers.archive import Archive, Report
from helpers.errors import WorkspaceError
from helpers.schema import INVERTED_TIERS, parse_day
from helpers.workspace import PROJECT

INDEX_SCHEMA = "frontline-site/1"
_PACKAGE = Path(__file__).parent
_TEMPLATES = _PACKAGE / "templates"
_HOME = "index.html"
# Where the documentation is placed, if it is.
DOCS = "docs"

# A sparkline shows so many days, on a canvas of these units.
_SPARK_DAYS = 180
_SPARK = (240.0, 56.0, 4.0)

# Steps of the calendar's tints, km² a day; what rounds to nought is no change.
_TINTS = (0.5, 8.0, 20.0)
_WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


@dataclass(frozen=True)
class Site:
    """What every page of the archive needs to know.

    Attributes
    ----------
    archive
        The reports.
    sectors
        The known sectors, by key.
    base_url
        Where the archive is published, with a slash at its end; empty if that is not known.
    changed
        The day that the feed and the site map give as the newest.
    maps
        Key of a sector to the file with the data of its interactive map.
    documented
        Whether the documentation lies in the folder `DOCS`.
    """

    archive: Archive
    sectors: Mapping[str, reference.Sector]
    base_url: str
    changed: date
    maps: Mapping[str, str] = field(default_factory=dict)
    documented: bool = False

    def name(self, sector: str) -> str:
        """How titles call a sector."""
        known = self.sectors.get(sector)
        return known.name if known else sector


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )


def _fill(template: str, **fields: Any) -> str:
    return _environment().get_template(f"site/{template}").render(**fields)


@cache
def _stylesheet() -> Markup:
    text = (_TEMPLATES / "site" / "site.css").read_text()
    return Markup(pages.stylesheet() + " " + " ".join(text.split()))


def sector_page(sector: str) -> str:
    """Path of the page of a sector."""
    return f"sectors/{pages.slugify(sector)}.html"


def _about(site: Site, path: str, title: str, description: str, **more: Any) -> dict[str, Any]:
    """What a page says of itself to search engines and to who shares it."""
    blank = dict.fromkeys(("image", "previous", "next", "published"))
    return {
        **blank,
        "path": path,
        "up": "../" * path.count("/"),
        "title": title,
        "description": description,
        "url": site.base_url + path.removesuffix(_HOME) if site.base_url else "",
        "kind": "website",
        **more,
    }


def _page(site: Site, template: str, about: dict[str, Any], **fields: Any) -> str:
    source = site.archive.latest.manifest["source"]
    links = [
        {"href": _HOME, "text": "Latest"},
        *({"href": sector_page(key), "text": site.name(key)} for key in site.archive.sectors()),
        {"href": "method.html", "text": "Method"},
        {"href": "sources.html", "text": "Sources"},
        *([{"href": f"{DOCS}/index.html", "text": "Documentation"}] if site.documented else []),
    ]
    return _fill(
        template,
        about=about,
        head=Markup(_fill("head.html.j2", about=about)),
        stylesheet=_stylesheet(),
        links=links,
        up=about["up"],
        caveat=source["caveat"],
        attribution=source["attribution"],
        licence=source["licence"],
        **fields,
    )


# Figures of a report ------------------------------------------------------------------------


def _record(report: Report, figure: str) -> dict[str, Any] | None:
    path = report.path / "figures" / f"{figure}.json"
    if not figure or not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def _picture(report: Report, figure: str, up: str) -> dict[str, Any] | None:
    """A figure of a report as a page of the archive shows it, by reference."""
    record = _record(report, figure)
    if record is None:
        return None
    shown = {
        kind: {"src": f"{up}{report.name}/figures/{figure}-{kind}.png", **_size(record, kind)}
        for kind in ("wide", "phone")
    }
    return {"alt": record["alt"], "caption": record["caption"], **shown}


def _size(record: Mapping[str, Any], kind: str) -> dict[str, int]:
    return {key: int(record["renditions"][kind][key]) for key in ("width", "height")}


def _image(site: Site, report: Report, figure: str) -> dict[str, Any] | None:
    """A figure as the picture of a shared link, which must be an absolute address."""
    record = _record(report, figure)
    if record is None:
        return None
    src = f"{site.base_url}{report.name}/figures/{figure}-wide.png"
    return {"src": src, "alt": record["alt"], **_size(record, "wide")}


def leading_figure(report: Report) -> str:
    """Name of the map of the sector that the headline speaks of."""
    path = report.path / "data" / "briefing.json"
    sector = json.loads(path.read_text())["headline"]["sector"] if path.is_file() else ""
    return report.sectors.get(sector, next(iter(report.sectors.values()), ""))


# Pages --------------------------------------------------------------------------------------


def dateline(report: Report) -> str:
    """The two days of a report in words."""
    return f"{findings.day(report.day)}, compared with {findings.day(report.compare_to)}"


def front(site: Site, maps: Mapping[str, Mapping[str, Any]]) -> str:
    """Make the front page.

    Parameters
    ----------
    site
        The archive.
    maps
        Key of a sector to its small map: src, width, height.

    Returns
    -------
    str
        HTML.
    """
    latest = site.archive.latest
    caveat = latest.manifest["source"]["caveat"]
    about = _about(
        site,
        _HOME,
        latest.manifest["title"],
        f"{latest.manifest['title']}. {dateline(latest)}. {caveat}",
        image=_image(site, latest, leading_figure(latest)),
    )
    shown = {
        "title": latest.manifest["title"],
        "dateline": dateline(latest),
        "day": findings.day(latest.day),
        "href": f"{latest.name}/{_HOME}",
        "sentences": [finding["text"] for finding in latest.findings()],
    }
    others = [
        {
            "href": f"{report.name}/{_HOME}",
            "title": report.manifest["title"],
            "publisher": report.manifest["source"]["publisher"],
            "day": findings.day(report.day),
        }
        for report in reversed(site.archive.reports)
        if report.source != latest.source
    ]
    return _page(
        site,
        "front.html.j2",
        about,
        latest=shown,
        cards=[_card(site, key, maps.get(key)) for key in latest.sectors],
        months=months(site),
        key=_key(),
        others=others,
    )


def _card(site: Site, sector: str, small_map: Mapping[str, Any] | None) -> dict[str, Any]:
    latest = site.archive.latest
    figure = _record(latest, latest.sectors[sector])
    return {
        "key": pages.slugify(sector),
        "name": site.name(sector),
        "href": sector_page(sector),
        "sentence": _standing(site, latest, sector),
        "map": {**small_map, "alt": figure["alt"]} if small_map and figure else None,
        "line": spark(_days(site, sector), site.name(sector)),
    }


def _run(report: Report, sector: str) -> Mapping[str, Any]:
    run: Mapping[str, Any] = report.manifest["runs"][report.sectors[sector]]
    return run


def _numbers(report: Report, sector: str) -> tuple[str, str, str]:
    """Area, change and its error, as the briefing rounds them."""
    numbers = _run(report, sector)["numbers"]
    area = numbers["area_km2"]
    if "net_km2" not in numbers:
        return findings.km2(area, findings.step_km2(area)), "", ""
    step = findings.step_km2(numbers["net_km2"], numbers["error_km2"])
    return (
        findings.km2(area, step),
        findings.km2(numbers["net_km2"], step, signed=True),
        findings.error_km2(numbers["error_km2"], step),
    )


def _standing(site: Site, report: Report, sector: str) -> str:
    """The finding of a sector with its error and level, for below its name."""
    said = _run(report, sector)["title"].removeprefix(f"{site.name(sector)}: ")
    area, net, error = _numbers(report, sector)
    off = f" (±{findings.NBSP}{error})" if net else ""
    return f"{said[:1].upper()}{said[1:]}{off}, to {area}."


def _days(site: Site, sector: str) -> pd.DataFrame:
    """The measured days of a sector: of the latest report's source and tier."""
    latest, table = site.archive.latest, site.archive.measures
    tier = _run(latest, sector)["parameters"]["tier"]
    same = (table["source"] == latest.source) & (table["sector"] == sector)
    return table[same & (table["tier"] == tier)]


def spark(days: pd.DataFrame, name: str) -> dict[str, str] | None:
    """Draw the area of a sector by day as the path of a sparkline.

    Parameters
    ----------
    days
        Columns day (ISO text) and area_km2, by day. A missing day is a gap in the line.
    name
        Name of the sector.

    Returns
    -------
    dict or None
        path (SVG path data), label (for who does not see it), start and end; None for fewer than
        two days.
    """
    rows = [(parse_day(d), a) for d, a in zip(days["day"], days["area_km2"], strict=True)]
    rows = [(d, a) for d, a in rows if (rows[-1][0] - d).days < _SPARK_DAYS]
    if len(rows) < 2:
        return None
    (first, from_), (last, to) = rows[0], rows[-1]
    low, high = min(a for _, a in rows), max(a for _, a in rows)
    width, height, margin = _SPARK
    points, before = [], None
    for on, area in rows:
        x = width * (on - first).days / (last - first).days
        y = height - margin - (height - 2 * margin) * (area - low) / ((high - low) or 1.0)
        joined = before is not None and on - before == timedelta(days=1)
        points.append(f"{'L' if joined else 'M'}{x:.1f} {y:.1f}")
        before = on
    sizes = [findings.km2(area, findings.step_km2(area)) for area in (from_, to)]
    return {
        "path": "".join(points),
        "label": f"{name}, area a day: {sizes[0]} on {findings.day(first)}, "
        f"{sizes[1]} on {findings.day(last)}",
        "start": f"{findings.short_day(first, year=True)}: {sizes[0]}",
        "end": f"{findings.short_day(last, year=True)}: {sizes[1]}",
    }


def months(site: Site) -> list[dict[str, Any]]:
    """Lay the days of the latest report's source out as months, the newest first."""
    latest = site.archive.latest
    sums: dict[date, float] = {}
    for sector in latest.sectors:
        days = _days(site, sector).dropna(subset=["net_km2"])
        for day, net in zip(days["day"], days["net_km2"], strict=True):
            sums[parse_day(day)] = sums.get(parse_day(day), 0.0) + float(net)
    reports = {report.day: report for report in site.archive.of_source(latest.source)}
    shown = sorted({(day.year, day.month) for day in [*sums, *reports]}, reverse=True)
    return [_month(year, month, sums, reports) for year, month in shown]


def _month(
    year: int, month: int, sums: Mapping[date, float], reports: Mapping[date, Report]
) -> dict[str, Any]:
    weeks = calendar.Calendar().monthdatescalendar(year, month)
    return {
        "name": findings.day(date(year, month, 1)).split(findings.NBSP, 1)[1],
        "weekdays": _WEEKDAYS,
        "weeks": [
            [_cell(on, sums.get(on), reports.get(on)) if on.month == month else None for on in week]
            for week in weeks
        ],
    }


def _cell(on: date, net: float | None, report: Report | None) -> dict[str, str]:
    size = "" if net is None else findings.number(net, signed=True)
    label = findings.day(on) + (f", {size}{findings.NBSP}km²" if size else "")
    return {
        "day": str(on.day),
        "href": f"{report.name}/{_HOME}" if report else "",
        "label": label,
        "size": size,
        "kind": _tint(net),
    }


def _tint(net: float | None) -> str:
    """Class of a calendar's day, by the size and the direction of its change."""
    if net is None:
        return "silent"
    level = sum(abs(net) >= step for step in _TINTS)
    return f"{'advance' if net > 0 else 'retreat'}-{level}" if level else "none"


def _key() -> list[dict[str, str]]:
    """The key of the calendar's tints, from advance to withdrawal."""
    first, second = (f"{step:.0f}" for step in _TINTS[1:])
    words = (f"over {second}", f"{first} to {second}", f"under {first}")
    advance = [{"kind": f"advance-{3 - n}", "text": f"+ {word}"} for n, word in enumerate(words)]
    retreat = [
        {"kind": f"retreat-{n}", "text": f"{findings.MINUS} {word}"}
        for n, word in enumerate(reversed(words), 1)
    ]
    return [*advance, {"kind": "none", "text": "no change"}, *retreat]


def sector(site: Site, key: str) -> str:
    """Make the page of a sector: its newest map, its days, and its reports.

    Parameters
    ----------
    site
        The archive.
    key
        A sector of one of the reports.

    Returns
    -------
    str
        HTML.
    """
    having = [r for r in reversed(site.archive.reports) if key in r.sectors]
    newest = next((r for r in having if r.source == site.archive.latest.source), having[0])
    figure = newest.sectors[key]
    title, tier = _run(newest, key)["title"], _run(newest, key)["parameters"]["tier"]
    about = _about(
        site,
        sector_page(key),
        title,
        f"{title}. {dateline(newest)}. {newest.manifest['source']['caveat']}",
        image=_image(site, newest, figure),
    )
    rows = []
    for report in having:
        area, net, error = (
            text.removesuffix(f"{findings.NBSP}km²") for text in _numbers(report, key)
        )
        rows.append(
            {
                "href": f"../{report.name}/{report.sectors[key]}.html",
                "day": findings.day(report.day),
                "compare_to": findings.day(report.compare_to),
                "area": area,
                "net": net,
                "error": error,
                "publisher": report.manifest["source"]["publisher"],
            }
        )
    return _page(
        site,
        "sector.html.j2",
        about,
        sector={"name": site.name(key), "inverted": tier in INVERTED_TIERS},
        latest={"title": title, "dateline": dateline(newest)},
        map={"data": site.maps[key]} if key in site.maps else None,
        picture=_picture(newest, figure, "../"),
        chart=_picture(newest, f"advance-series-{key}", "../"),
        rows=rows,
    )


_DOCUMENT = re.compile(r"\[[^\]]+\]\(([\w-]+\.md)(?:#[\w-]+)?\)")


def method(site: Site) -> str:
    """Make the page of the method, from ``docs/method.md``."""
    packaged = _PACKAGE / "docs" / "method.md"
    path = packaged if packaged.is_file() else PROJECT / "docs" / "method.md"
    if not path.is_file():
        raise WorkspaceError(f"The method's text is missing: {path}. Install the project again.")
    about = _about(
        site,
        "method.html",
        "Method",
        "What the words mean, how each number is made, and how far off it may be.",
    )
    # The other pages of the documentation are in the repository, not in the archive.
    text = _DOCUMENT.sub(r"`docs/\1`", path.read_text(encoding="utf-8"))
    return _page(site, "text.html.j2", about, text=Markup(pages.markdown_page(text)))


def sources_page(site: Site) -> str:
    """Make the page of the sources of all reports, and of the base map."""
    used = {report.source for report in site.archive.reports}
    known = [source for key, source in sources.SOURCES.items() if key in used]
    about = _about(
        site, "sources.html", "Sources", "Whose maps are measured, and what may be done with them."
    )
    shown = [
        {
            **{name: getattr(source, name) for name in source.__dataclass_fields__},
            "error": findings.metres(source.positional_error_m),
        }
        for source in known
    ]
    base = reference.base_sources()[["file", "licence", "attribution"]].drop_duplicates()
    base = base[base["attribution"] != ""]
    return _page(site, "sources.html.j2", about, sources=shown, base=base.to_dict("records"))


def latest(site: Site) -> str:
    """Make the page at the address that always leads to the latest report."""
    report = site.archive.latest
    return _fill("latest.html.j2", href=f"../{report.name}/{_HOME}", title=report.manifest["title"])


def around(site: Site, report: Report, page: str) -> dict[str, str]:
    """What the archive writes into the places that a report's page keeps for it.

    Parameters
    ----------
    site
        The archive.
    report
        The report.
    page
        Name of its page, such as ``sector-map-kursk.html``.

    Returns
    -------
    dict
        HTML for `helpers.pages.fill`.
    """
    run = "briefing" if page == _HOME else page.removesuffix(".html")
    beside = site.archive.beside(report)
    links = [
        {"href": _same_page(other, page), "text": findings.day(other.day)} if other else None
        for other in beside
    ]
    key = next((key for key, name in report.sectors.items() if name == run), None)
    title = report.manifest["runs"][run]["title"]
    about = _about(
        site,
        f"{report.name}/{page}",
        title,
        f"{title}. {dateline(report)}. {report.manifest['source']['caveat']}",
        image=_image(site, report, _figure_of(report, run)),
        previous=links[0] and links[0]["href"],
        next=links[1] and links[1]["href"],
        kind="article",
        published=report.newest_input.isoformat(),
    )
    to_sector = {"href": f"../{sector_page(key)}", "text": site.name(key)} if key else None
    return {
        "head": _fill("head.html.j2", about=about),
        "dates": _fill("dates.html.j2", previous=links[0], next=links[1], sector=to_sector),
    }


def _same_page(other: Report, page: str) -> str:
    """The page of another report that shows the same, else its first."""
    return f"../{other.name}/{page if page in other.manifest['files'] else _HOME}"


def _figure_of(report: Report, run: str) -> str:
    if run in report.sectors.values():
        return run
    return "advance-sectors" if run == "advance-series" else leading_figure(report)


# For machines -------------------------------------------------------------------------------


def index(site: Site) -> dict[str, Any]:
    """List the archive for machines: see ``docs/site.md``."""
    return {
        "schema": INDEX_SCHEMA,
        "base_url": site.base_url,
        "latest": site.archive.latest.name,
        "measures": "data/measures.csv",
        "sectors": [
            {"key": key, "name": site.name(key), "page": sector_page(key)}
            for key in site.archive.sectors()
        ],
        "reports": [_entry(site, report) for report in site.archive.reports],
    }


def _entry(site: Site, report: Report) -> dict[str, Any]:
    manifest = report.manifest
    return {
        "folder": report.name,
        "page": f"{report.name}/{_HOME}",
        "manifest": f"{report.name}/manifest.json",
        "manifest_sha256": report.digest,
        "day": manifest["day"],
        "compare_to": manifest["compare_to"],
        "source": report.source,
        "publisher": manifest["source"]["publisher"],
        "licence": manifest["source"]["licence"],
        "title": manifest["title"],
        "beside": [other.name if other else None for other in site.archive.beside(report)],
        "sectors": {
            key: {
                "page": f"{report.name}/{name}.html",
                "title": manifest["runs"][name]["title"],
                "numbers": manifest["runs"][name]["numbers"],
            }
            for key, name in report.sectors.items()
        },
    }


def feed(site: Site) -> str:
    """Make the Atom feed (RFC 4287), the newest report first."""
    entries = [
        {
            "title": f"{findings.day(report.day)}: {report.manifest['title']}",
            "id": _urn(site, report.name),
            "updated": _instant(report.newest_input),
            "href": f"{report.name}/{_HOME}",
            "rights": report.manifest["source"]["licence"],
            "summary": " ".join(
                [*(finding["text"] for finding in report.findings()),
                 report.manifest["source"]["caveat"]]
            ),
        }
        for report in reversed(site.archive.reports)
    ]  # fmt: skip
    return _fill(
        "feed.xml.j2",
        id=_urn(site, ""),
        updated=_instant(site.changed),
        base=site.base_url,
        caveat=site.archive.latest.manifest["source"]["caveat"],
        entries=entries,
    )


def _urn(site: Site, name: str) -> str:
    """A lasting name: it depends on where the archive stands and on the report alone."""
    place = site.base_url or "urn:frontline-notebooks/"
    return uuid.uuid5(uuid.NAMESPACE_URL, place + name).urn


def _instant(on: date) -> str:
    return f"{on.isoformat()}T00:00:00Z"


def sitemap(site: Site) -> str:
    """Make the site map (sitemaps.org, 0.9); its addresses are absolute by definition."""
    archive, changed = site.archive, site.changed.isoformat()
    own = [_HOME, *(sector_page(key) for key in archive.sectors()), "method.html", "sources.html"]
    listed = [{"path": path.removesuffix(_HOME), "changed": changed} for path in own]
    listed += [
        {
            "path": f"{report.name}/{name}".removesuffix(_HOME),
            "changed": report.newest_input.isoformat(),
        }
        for report in archive.reports
        for name in sorted(report.published())
        if name.endswith(".html")
    ]
    return _fill("sitemap.xml.j2", base=site.base_url, pages=listed)
