"""The archive: a folder for any static host, made from the finished reports.

The new archive is built beside the old one and put in its place by renaming. What did not change is
linked from the old one instead of being made again; the result is the same, byte for byte, as that
of a build from nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from PIL import Image

from helpers import archive, outputs, pages, provenance, reference, sitepages, webmap
from helpers.archive import Archive, Report
from helpers.errors import ParameterError, WorkspaceError
from helpers.files import put_in_place, recover
from helpers.sitepages import Site
from helpers.workspace import Workspace

_LOCK_WAIT_S = 30
_ASSETS = Path(__file__).parent / "templates" / "site"
_VENDOR = Path(__file__).parent / "vendor"
# Width of the small maps of the front page, pixels: twice what they are shown at.
_SMALL_PX = 600
# The places that an archive fills stand before a page's pictures.
_PAGE_START = 65_536
_CLIP = re.compile(r'<clipPath id="[^"]*">\s*<rect ([^>]*)/>')


@dataclass
class Built:
    """What a build did.

    Attributes
    ----------
    folder
        The archive.
    made
        Files that were written, as relative paths.
    kept
        How many files are those of the build before.
    """

    folder: Path
    made: list[str] = field(default_factory=list)
    kept: int = 0


class _Tree:
    """A folder being built, with the one that it will replace."""

    def __init__(self, new: Path, old: Path, built: Built) -> None:
        self.new, self.old, self._built = new, old, built

    def put(self, name: str, data: bytes | str) -> None:
        """Write a file, or keep the old one if it is the same."""
        content = data.encode() if isinstance(data, str) else data
        old = self.old / name
        if old.is_file() and old.stat().st_size == len(content) and old.read_bytes() == content:
            self.keep(name)
            return
        path = self.new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._built.made.append(name)

    def keep(self, name: str) -> None:
        """Take a file over from the old folder, without a copy where the disk allows it."""
        path = self.new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self.old / name, path)
        except OSError:
            shutil.copyfile(self.old / name, path)
        self._built.kept += 1


def build(
    ws: Workspace, out: Path | None = None, *, base_url: str = "", docs: Path | None = None
) -> Built:
    """Build the archive of a workspace's reports.

    Parameters
    ----------
    ws
        The workspace.
    out
        The folder; by default ``site`` in the workspace.
    base_url
        Where it will be published, such as ``https://example.org/frontline/``. With it, links of
        the feed and of shared pages are absolute, and there is a site map.
    docs
        A folder with an ``index.html``, placed below ``docs/`` and linked from every page.

    Returns
    -------
    Built
        What was done.

    Raises
    ------
    WorkspaceError
        If there is no report, one is damaged, the folder has something else in it, or another
        build is running.
    ParameterError
        If the address cannot be one, or `docs` has no ``index.html``.
    """
    if docs is not None and not (docs / "index.html").is_file():
        raise ParameterError(f"{docs} has no index.html. Build the documentation first: make docs")
    target = (out or ws.root / "site").resolve()
    _check_folder(target)
    address = _checked_url(base_url)
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.parent / f".{target.name}.lock"
    try:
        with FileLock(lock, timeout=_LOCK_WAIT_S):
            return _build_locked(ws, target, address, docs)
    except Timeout:
        raise WorkspaceError(
            f"Another build of {target} has been running for more than {_LOCK_WAIT_S} s (lock file "
            f"{lock}). Wait for it to end, then run again."
        ) from None


def _check_folder(target: Path) -> None:
    """Never replace a folder that is no archive."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    index = target / "index.json"
    try:
        known = json.loads(index.read_text())["schema"] == sitepages.INDEX_SCHEMA
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise WorkspaceError(
            f"{target} is not an archive made by this project, and would be replaced. Name another "
            "folder, or empty it first."
        )


def _checked_url(base_url: str) -> str:
    if not base_url:
        return ""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ParameterError(
            f"{base_url!r} is not the address of a folder. Give one such as "
            "https://example.org/frontline/."
        )
    return base_url.rstrip("/") + "/"


def _build_locked(ws: Workspace, target: Path, base_url: str, docs: Path | None) -> Built:
    building = target.parent / f".{target.name}.building"
    retired = target.parent / f".{target.name}.retired"
    recover(target, retired)
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    built = Built(target)
    tree = _Tree(building, target, built)
    found = archive.read(ws.reports)
    known = reference.sectors(ws.sectors_file)
    maps = _live_maps(tree, ws, found, known)
    site = Site(found, known, base_url, _changed(found), maps, documented=docs is not None)
    for report in found.reports:
        _place_report(tree, site, report)
    _place_pages(tree, site)
    if docs is not None:
        for path in filter(Path.is_file, sorted(docs.rglob("*"))):
            tree.put(f"{sitepages.DOCS}/{path.relative_to(docs).as_posix()}", path.read_bytes())
    put_in_place(target, building, retired)
    return built


def _changed(found: Archive) -> date:
    """The day of the archive: SOURCE_DATE_EPOCH if it is set, else the newest input."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdigit():
        return datetime.fromtimestamp(int(epoch), UTC).date()
    return max(report.newest_input for report in found.reports)


def _place_report(tree: _Tree, site: Site, report: Report) -> None:
    manifest = (report.path / "manifest.json").read_bytes()
    old = tree.old / report.name
    same = (old / "manifest.json").is_file() and (old / "manifest.json").read_bytes() == manifest
    for name, digest in report.published().items():
        path = f"{report.name}/{name}"
        is_page = name.endswith(".html")
        texts = sitepages.around(site, report, name) if is_page else {}
        if same and (old / name).is_file() and (not is_page or _filled(old / name, texts)):
            tree.keep(path)
            continue
        data = _checked_bytes(report, name, digest)
        tree.put(path, pages.fill(data, texts) if is_page else data)
    tree.put(f"{report.name}/manifest.json", manifest)


def _filled(page: Path, texts: Mapping[str, str]) -> bool:
    with page.open("rb") as file:
        return pages.places(file.read(_PAGE_START)) == texts


def _checked_bytes(report: Report, name: str, digest: str) -> bytes:
    path = report.path / name
    # A manifest is read from a file, so its names are not trusted with a way out of the folder.
    inside = path.resolve().is_relative_to(report.path.resolve())
    data = path.read_bytes() if inside and path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise WorkspaceError(
            f"{path} is missing or is not the file that the report was made with. See: frontline "
            f"verify {report.path}. Make the report again: {report.manifest['command']}"
        )
    return data


def _place_pages(tree: _Tree, site: Site) -> None:
    found = site.archive
    small = {key: _small_map(tree, found.latest, key) for key in found.latest.sectors}
    tree.put("index.html", sitepages.front(site, {k: v for k, v in small.items() if v}))
    for key in found.sectors():
        tree.put(sitepages.sector_page(key), sitepages.sector(site, key))
    tree.put("method.html", sitepages.method(site))
    tree.put("sources.html", sitepages.sources_page(site))
    tree.put("latest/index.html", sitepages.latest(site))
    measures = found.measures
    if "elapsed_days" in measures:
        measures = measures.astype({"elapsed_days": "Int64"})
    tree.put("data/measures.csv", outputs.table_text(measures))
    tree.put("feed.xml", sitepages.feed(site))
    if site.base_url:
        tree.put("sitemap.xml", sitepages.sitemap(site))
        tree.put("robots.txt", f"User-agent: *\nAllow: /\nSitemap: {site.base_url}sitemap.xml\n")
    # Hosts that would leave out or rework files are told not to.
    tree.put(".nojekyll", "")
    tree.put("index.json", provenance.to_json(sitepages.index(site)))


def _live_maps(
    tree: _Tree, ws: Workspace, found: Archive, known: Mapping[str, reference.Sector]
) -> dict[str, str]:
    """Place the interactive maps' data; only of sources whose polygons may be published."""
    latest = found.latest
    if not latest.shares_polygons:
        return {}
    days = webmap.window(ws, latest.source, latest.day)
    mapped = {key: known[key] for key in latest.sectors if key in known}
    if len(days) < 2 or not mapped:
        return {}
    for key, sector in mapped.items():
        name = webmap.key(sector, days)
        old = tree.old / _map_file(key)
        if old.is_file() and _first_line(old) == f"// {name}\n".encode():
            tree.keep(_map_file(key))
        else:
            tree.put(_map_file(key), webmap.script(sector, days, name))
    tree.put("assets/base.js", webmap.base(mapped.values()))
    for path in (*(_VENDOR / "leaflet").glob("leaflet.*"), *_ASSETS.glob("map.*")):
        tree.put(f"assets/{path.name}", path.read_bytes())
    tree.put("assets/leaflet-LICENSE.txt", (_VENDOR / "leaflet" / "LICENSE").read_bytes())
    return {key: _map_file(key) for key in mapped}


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()


def _map_file(sector: str) -> str:
    return f"assets/map-{pages.slugify(sector)}.js"


# Small maps ---------------------------------------------------------------------------------


def _small_map(tree: _Tree, report: Report, sector: str) -> dict[str, Any] | None:
    """Cut the frame out of a report's map, for the front page."""
    stem = report.path / "figures" / f"{report.sectors[sector]}-phone"
    picture, drawing = stem.with_suffix(".png"), stem.with_suffix(".svg")
    if not (picture.is_file() and drawing.is_file()):
        return None
    with Image.open(picture) as image:
        cut = image.convert("RGB").crop(_frame(drawing.read_text(), image.size))
    height = round(cut.height * _SMALL_PX / cut.width)
    buffer = io.BytesIO()
    cut.resize((_SMALL_PX, height), Image.Resampling.LANCZOS).save(
        buffer, "WEBP", quality=80, method=4
    )
    name = f"assets/small-{pages.slugify(sector)}.webp"
    tree.put(name, buffer.getvalue())
    return {"src": name, "width": _SMALL_PX, "height": height}


def _frame(drawing: str, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where the map lies in a figure: the largest part that its drawing clips to, in pixels."""
    viewed = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)
    rectangles = [
        tuple(float(value) for value in re.findall(r'="(-?[\d.]+)"', text))
        for text in _CLIP.findall(drawing)
    ]
    if not viewed or not rectangles:
        return 0, 0, *size
    scale = size[0] / float(viewed[1])
    x, y, width, height = max(rectangles, key=lambda box: box[2] * box[3])
    left, top, right, low = (round(v * scale) for v in (x, y, x + width, y + height))
    return left, top, right, low
