"""The archive as a folder: what it holds, what it withholds, and how it behaves in a browser."""

import json
import re
from datetime import date
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import fakereports
from chromium import browser
from helpers import archive, ingest, site, verify
from helpers.errors import ParameterError, WorkspaceError
from helpers.workspace import Workspace
from webpages import axe_faults, html_faults

SAMPLE = Path(__file__).parents[1] / "data" / "raw" / "reconstruction"
DAYS = ("2025-01-01", "2025-01-08")
PAGES = ("index.html", "sectors/kurakhove.html", "2025-01-08/index.html", "method.html")


def workspace(root: Path) -> Workspace:
    """Two small reports, and the sample's days to move through."""
    (root / "data" / "raw").mkdir(parents=True)
    (root / "data" / "raw" / "reconstruction").symlink_to(SAMPLE)
    ws = Workspace.at(root)
    ingest.run(ws, "reconstruction")
    for day in DAYS:
        fakereports.report(root, day)
    return ws


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    return workspace(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def built(ws):
    return site.build(ws, base_url="https://example.org/maps/").folder


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


# What is in it ------------------------------------------------------------------------------


def test_a_publisher_gets_all_that_a_host_needs(built):
    files = tree(built)
    assert {"index.html", "feed.xml", "sitemap.xml", "robots.txt", "index.json"} <= set(files)
    assert {"data/measures.csv", "sectors/kursk.html", "sources.html", ".nojekyll"} <= set(files)
    assert {f"{day}/{name}" for day in DAYS for name in ("index.html", "manifest.json")} <= set(
        files
    )
    index = json.loads(files["index.json"])
    assert [report["day"] for report in index["reports"]] == ["2025-01-08", "2025-01-01"] or [
        report["day"] for report in index["reports"]
    ] == list(DAYS)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_valid_html(built, name):
    assert html_faults((built / name).read_text()) == []


def test_every_link_leads_somewhere(built):
    for page in built.rglob("*.html"):
        for target in re.findall(r'(?:href|src)="([^"#:]+)(?:#[^"]*)?"', page.read_text()):
            path = (page.parent / target).resolve()
            assert path.is_file() or (path / "index.html").is_file(), f"{page}: {target}"


def test_every_page_forbids_what_it_does_not_need(built):
    for page in built.rglob("*.html"):
        soup = BeautifulSoup(page.read_text(), "html.parser")
        (policy,) = (
            tag["content"] for tag in soup.select("meta[http-equiv=Content-Security-Policy]")
        )
        assert "default-src 'none'" in policy, page
        assert "unsafe-eval" not in policy
        assert not re.search(r"script-src[^;]*unsafe-inline", policy)


def test_what_may_not_be_passed_on_is_in_no_file(tmp_path):
    text = "48.12345678"
    fakereports.report(
        tmp_path,
        "2025-01-08",
        source="deepstate",
        more={"change-toretsk.geojson": json.dumps({"coordinates": [37.1, float(text)]})},
    )
    folder = site.build(Workspace.at(tmp_path)).folder
    files = tree(folder)
    assert "2025-01-08/index.html" in files
    assert not [name for name in files if name.endswith((".geojson", ".gpkg", ".parquet"))]
    assert not [name for name in files if name.startswith("assets/map")]  # no map that moves
    assert not [name for name, data in files.items() if text.encode() in data]
    assert b"change-toretsk.geojson" not in files["2025-01-08/index.html"]
    # The same polygons of a source that allows it are there.
    fakereports.report(tmp_path / "free", "2025-01-08")
    free = tree(site.build(Workspace.at(tmp_path / "free")).folder)
    assert "2025-01-08/data/change-kurakhove.geojson" in free


# Building again -----------------------------------------------------------------------------


def test_a_new_date_makes_only_what_changes_and_the_result_is_that_of_a_new_build(tmp_path):
    ws = workspace(tmp_path)
    first = site.build(ws)
    assert first.kept == 0
    again = site.build(ws)
    assert again.made == []
    fakereports.report(tmp_path, "2024-12-20")
    added = site.build(ws)
    figures = [name for name in added.made if "/figures/" in name]
    assert {name.split("/")[0] for name in figures} == {"2024-12-20"}
    assert "2025-01-01/index.html" in added.made  # it has a date before it now
    assert "2025-01-08/index.html" not in added.made
    assert tree(site.build(ws, tmp_path / "fresh").folder) == tree(added.folder)


def test_what_is_no_archive_is_never_replaced(ws, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkspaceError, match="is not an archive made by this project"):
        site.build(ws, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_report_that_was_altered_is_not_published(tmp_path):
    folder = fakereports.report(tmp_path, "2025-01-08")
    (folder / "data" / "measures.csv").write_text("day,area_km2\n")
    with pytest.raises(WorkspaceError, match="is not the file that the report was made with"):
        site.build(Workspace.at(tmp_path))
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("url", ["example.org", "ftp://example.org/", "https://e.org/?a=1"])
def test_an_address_that_is_none(ws, url):
    with pytest.raises(ParameterError, match="is not the address of a folder"):
        site.build(ws, base_url=url)


# Hostile texts ------------------------------------------------------------------------------


def test_markup_in_texts_from_data_stays_text(tmp_path):
    evil = fakereports.EVIL
    fakereports.report(tmp_path, "2025-01-08", title=f"Kurakhove {evil}", text=evil)
    folder = site.build(Workspace.at(tmp_path)).folder
    for name, data in tree(folder).items():
        if name.endswith((".html", ".xml")):
            assert b"<script>globalThis.evil" not in data, name
            assert b"<img src=x" not in data, name


@pytest.mark.browser
def test_a_planted_script_does_not_run(tab, tmp_path):
    evil = fakereports.EVIL
    fakereports.report(tmp_path, "2025-01-08", title=f"Kurakhove {evil}", text=evil)
    folder = site.build(Workspace.at(tmp_path)).folder
    for name in ("index.html", "2025-01-08/index.html", "sectors/kurakhove.html"):
        tab.open((folder / name).as_uri())
        tab.settle()
        assert tab.run("typeof globalThis.evil") == "undefined", name
    page = tmp_path / "bare.html"
    page.write_text(f"<!DOCTYPE html><title>T</title>{evil}")
    tab.open(page.as_uri())
    assert tab.run("globalThis.evil") == 1  # the trap works


# In a browser -------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_serious_fault(tab, built, name, dark):
    tab.open((built / name).as_uri(), 1280, dark=dark)
    tab.settle(0.5)
    # The policy of the page keeps the checker out as it keeps all others out.
    tab.call("Page.setBypassCSP", enabled=True)
    tab.open((built / name).as_uri(), 1280, dark=dark)
    assert axe_faults(tab) == []
    tab.call("Page.setBypassCSP", enabled=False)


@pytest.mark.browser
def test_axe_sees_a_fault(tab, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<!DOCTYPE html><html lang=en><title>T</title><img src='data:,'></html>")
    tab.open(page.as_uri())
    assert any("image-alt" in fault for fault in axe_faults(tab))


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_no_page_asks_another_host_or_is_wider_than_the_window(tab, built, name, width):
    tab.open((built / name).as_uri(), width)
    tab.settle()
    assert all(url.startswith(built.as_uri()) for url in tab.requests)
    assert tab.errors == []
    assert tab.run("document.documentElement.scrollWidth") == width


@pytest.mark.browser
def test_the_map_moves_through_its_days_by_mouse_and_by_key(tab, built):
    tab.open((built / "sectors" / "kurakhove.html").as_uri())
    tab.settle(1)
    days = tab.run("frontlineMap.days.length")
    assert days == 60
    assert tab.run("document.querySelectorAll('.leaflet-container').length") == 1
    parent = "document.querySelector('input[type=range]').parentElement"
    shown = f"{parent}.innerText.replace(/\\u00a0/g, ' ')"
    assert "8 January 2025" in tab.run(shown)
    before = tab.run("document.querySelector('.leaflet-container').innerHTML")
    tab.run("document.querySelector('input[type=range]').focus()")
    for _ in range(30):
        tab.press("ArrowLeft", 37)
    tab.settle()
    assert "9 December 2024" in tab.run(shown)
    assert tab.run("document.querySelector('.leaflet-container').innerHTML") != before
    assert tab.errors == []


@pytest.mark.browser
def test_the_first_view_with_the_map_keeps_to_its_budget(tab, built):
    tab.open((built / "sectors" / "kurakhove.html").as_uri())
    tab.settle(1)
    asked = {url.removeprefix(built.as_uri() + "/") for url in tab.requests}
    assert any(name.startswith("assets/map-") for name in asked)
    assert sum((built / name).stat().st_size for name in asked) < 1_500_000


@pytest.mark.browser
def test_without_script_the_still_map_is_there(tab, built):
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open((built / "sectors" / "kurakhove.html").as_uri())
        text = (built / "sectors" / "kurakhove.html").read_text()
        assert 'alt="Map of kurakhove' in text
        assert not any("assets/map" in url and url.endswith(".js") for url in tab.requests)
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


# Verifying ----------------------------------------------------------------------------------


def test_a_report_is_what_its_manifest_says_here_and_published(ws, built):
    for folder in (ws.reports / "2025-01-08", built / "2025-01-08"):
        verdict = verify.files(ws, folder)
        assert verdict.faults == ()
        assert verdict.checked > 10


def test_what_differs_is_named(tmp_path):
    folder = fakereports.report(tmp_path, "2025-01-08")
    (folder / "data" / "briefing.json").write_text("{}")
    (folder / "figures" / "sector-map-kursk-wide.png").unlink()
    (folder / "extra.txt").write_text("x")
    assert verify.files(Workspace.at(tmp_path), folder).faults == (
        "data/briefing.json: differs",
        "extra.txt: not in the manifest",
        "figures/sector-map-kursk-wide.png: missing",
    )


def test_polygons_that_were_withheld_are_noted_and_no_fault(tmp_path):
    fakereports.report(tmp_path, "2025-01-08", source="deepstate")
    ws = Workspace.at(tmp_path)
    folder = site.build(ws).folder / "2025-01-08"
    verdict = verify.files(ws, folder)
    assert verdict.faults == ()
    assert "not published, as its source does not allow it" in verdict.notes[0]


def test_only_a_report_can_be_verified(tmp_path):
    with pytest.raises(WorkspaceError, match=r"no manifest\.json"):
        verify.files(Workspace.at(tmp_path), tmp_path)


def test_archives_know_their_days(ws):
    assert [report.day for report in archive.read(ws.reports).reports] == [
        date(2025, 1, 1),
        date(2025, 1, 8),
    ]


# With the documentation ---------------------------------------------------------------------


def test_built_documentation_goes_with_it_and_is_linked(ws, built, tmp_path):
    docs = tmp_path / "html"
    (docs / "assets").mkdir(parents=True)
    (docs / "index.html").write_text("<h1>Documentation</h1>")
    (docs / "assets" / "a.css").write_text("a{}")
    out = site.build(ws, tmp_path / "site", docs=docs).folder
    assert (out / "docs" / "assets" / "a.css").read_text() == "a{}"
    for name, href in (("index.html", "docs/"), ("sectors/kurakhove.html", "../docs/")):
        page = BeautifulSoup((out / name).read_text(), "html.parser")
        assert page.find("a", string="Documentation")["href"] == f"{href}index.html"
    assert "Documentation" not in (built / "index.html").read_text()
    with pytest.raises(ParameterError, match=r"has no index.html.*make docs"):
        site.build(ws, tmp_path / "other", docs=tmp_path)
    assert not (tmp_path / "other").exists()
