import xml.etree.ElementTree as ET
from datetime import date

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from fakereports import report
from helpers import archive, reference, sitepages
from helpers.sitepages import Site

ATOM = {"a": "http://www.w3.org/2005/Atom"}
BASE = "https://example.org/f/"


@pytest.fixture
def site(tmp_path):
    for day, net in (("2025-01-06", -9.0), ("2025-01-08", 30.0)):
        report(tmp_path, day, nets={"2025-01-04": 0.2, "2025-01-05": net})
    found = archive.read(tmp_path / "reports")
    return Site(found, reference.sectors(), BASE, date(2025, 1, 8))


def test_a_line_breaks_at_a_gap():
    days = pd.DataFrame(
        {"day": ["2025-01-01", "2025-01-02", "2025-01-05"], "area_km2": [100.0, 110.0, 120.0]}
    )
    line = sitepages.spark(days, "Toretsk")
    # 4 days are 240 wide; 100 to 120 km² are 52 down to 4.
    assert line["path"] == "M0.0 52.0L60.0 28.0M240.0 4.0"
    assert line["label"].replace("\N{NO-BREAK SPACE}", " ") == (
        "Toretsk, area a day: 100 km² on 1 January 2025, 120 km² on 5 January 2025"
    )
    assert sitepages.spark(days.iloc[:1], "Toretsk") is None
    assert sitepages.spark(days.iloc[:0], "Toretsk") is None


@pytest.mark.parametrize(
    ("net", "kind"),
    [
        (None, "silent"),
        (0.0, "none"),
        (-0.4, "none"),
        (0.5, "advance-1"),
        (-8.0, "retreat-2"),
        (19.9, "advance-2"),
        (-1000.0, "retreat-3"),
    ],
)
def test_tints_of_the_calendar(net, kind):
    assert sitepages._tint(net) == kind


def test_the_calendar_has_all_days_and_links_those_with_a_report(site):
    newest = BeautifulSoup(sitepages.front(site, {}), "html.parser").select(".month")[0]
    assert newest.caption.get_text() == "January 2025"
    days = {
        cell.contents[0].get_text(): cell for cell in newest.select("tbody td") if cell.contents
    }
    assert len(days) == 31
    # Two sectors, each with 15 on the day before the last and 7 on the last.
    assert days["5"].span.get_text() == "+60"
    assert days["5"]["class"] == ["advance-3"]
    assert days["8"].a["href"] == "2025-01-08/index.html"
    assert days["8"].a["aria-label"] == "8\N{NO-BREAK SPACE}January 2025, +14\N{NO-BREAK SPACE}km²"
    assert days["7"]["class"] == ["silent"]
    assert [cell for cell in days.values() if cell.a] == [days["6"], days["8"]]


def test_a_card_tells_the_level_beside_the_change(site):
    page = BeautifulSoup(sitepages.front(site, {}), "html.parser")
    said = page.select_one("#card-kurakhove").find_next("p").get_text()
    assert said.replace("\N{NO-BREAK SPACE}", " ") == (
        "Reconstructed Russian presence grew by 7 km² in 31 days (± 3.0 km²), to 100.0 km²."
    )


def test_the_page_of_a_sector_lists_its_reports(site):
    page = BeautifulSoup(sitepages.sector(site, "kursk"), "html.parser")
    rows = page.select("#reports ~ .scroll tbody tr")
    assert [row.a["href"] for row in rows] == [
        "../2025-01-08/sector-map-kursk.html",
        "../2025-01-06/sector-map-kursk.html",
    ]
    assert "the area is Ukrainian-held ground" in page.find("caption").get_text()
    assert not page.find_all("script")


def test_a_shared_page_says_what_it_is(site):
    first = site.archive.reports[0]
    texts = sitepages.around(site, first, "sector-map-kursk.html")
    head = BeautifulSoup(texts["head"], "html.parser")
    said = {meta["property"]: meta["content"] for meta in head.select("meta[property]")}
    assert head.select_one("[rel=canonical]")["href"] == f"{BASE}2025-01-06/sector-map-kursk.html"
    assert said["og:image"] == f"{BASE}2025-01-06/figures/sector-map-kursk-wide.png"
    assert said["article:published_time"] == "2025-01-06"
    links = [a["href"] for a in BeautifulSoup(texts["dates"], "html.parser").find_all("a")]
    assert links == [
        "../2025-01-08/sector-map-kursk.html",
        "../sectors/kursk.html",
        "../index.html",
    ]


def test_a_page_that_another_date_lacks_leads_to_its_first(site):
    last = site.archive.latest
    assert sitepages._same_page(last, "sector-map-toretsk.html") == "../2025-01-08/index.html"


def test_the_feed_is_atom_and_does_not_change_by_itself(site):
    feed = ET.fromstring(sitepages.feed(site))
    assert feed.findtext("a:updated", namespaces=ATOM) == "2025-01-08T00:00:00Z"
    entries = feed.findall("a:entry", ATOM)
    assert len({entry.findtext("a:id", namespaces=ATOM) for entry in entries}) == 2
    assert entries[0].find("a:link", ATOM).get("href") == f"{BASE}2025-01-08/index.html"
    for element in (feed, *entries):
        for required in ("id", "title", "updated"):
            assert element.findtext(f"a:{required}", namespaces=ATOM)
    assert sitepages.feed(site) == sitepages.feed(site)


def test_the_site_map_has_every_page_once(site):
    places = [
        e.text for e in ET.fromstring(sitepages.sitemap(site)).iter() if e.tag.endswith("loc")
    ]
    assert len(places) == len(set(places)) == 1 + 2 + 2 + 2 * 3
    assert BASE in places
    assert f"{BASE}2025-01-06/" in places


def test_the_index_is_of_its_schema(site):
    index = sitepages.index(site)
    assert index["schema"] == "frontline-site/1"
    assert index["latest"] == "2025-01-08"
    entry = index["reports"][0]
    assert entry["beside"] == [None, "2025-01-08"]
    assert entry["sectors"]["kursk"]["numbers"]["net_km2"] == 7.0
    assert entry["manifest_sha256"] == site.archive.reports[0].digest


def test_the_method_is_the_projects_own_text(site):
    page = BeautifulSoup(sitepages.method(site), "html.parser")
    assert page.h1.get_text().startswith("Method")
    assert page.select("h2#settlements")
