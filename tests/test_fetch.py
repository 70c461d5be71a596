"""Fetching, against a server on this machine; no test asks another host."""

import configparser
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time
import zipfile
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from click.testing import CliRunner

import publisher
from helpers import (
    arcgis,
    daily,
    endpoints,
    fetch,
    ingest,
    plans,
    publishers,
    raw,
    snapshots,
    web,
)
from helpers.cli import main
from helpers.errors import FetchError, ParameterError, WorkspaceError
from helpers.web import AbsentError, Client, Policy
from helpers.workspace import PROJECT, Workspace
from publisher import LASTING, PASSING, POLICY, PlayedLayer, Publisher, between, collection, feature
from test_plans import pretend

TODAY = datetime(2025, 1, 9, 12, tzinfo=UTC)
D = date.fromisoformat
MONTH = between(D("2024-12-11"), D("2025-01-09"))
THREE = between(D("2025-01-07"), D("2025-01-09"))

ARCHIVE = """
[archive]
kind = "files"
url = "{url}/archive/deepstatemap_data_{{yyyymmdd}}.geojson"
file = "deepstatemap_data_{{yyyymmdd}}.geojson"
holds = "features"

[history]
kind = "history"
index = "{url}/history/public"
url = "{url}/history/{{id}}/geojson"
file = "history/{{yyyymmdd}}_{{id}}.json"
holds = "features"
timezone = "Europe/Kyiv"
"""
NZZ = """
[nzz]
kind = "files"
url = "{url}/nzz?config=%7B%22a%22%3A1%7D&to={{yyyy-mm-dd}}"
file = "{{yyyy-mm-dd}}.json"
holds = "value.features"
"""
LAYERS = """
[[{way}.layers]]
layer = "RussianAssessedCoTinUkraine"
url = "{url}/rest/services/VIEW_RussiaCoTinUkraine_V3/FeatureServer/49"
like = ["russiacotinukraine"]

[[{way}.layers]]
layer = "RussianClaimedCoTinUkraine"
url = "{url}/rest/services/VIEW_ClaimedRussianTerritoryinUkraine_V2/FeatureServer/1"
like = ["claimed russian territory"]
"""
ISW = (
    """
[timelapse]
kind = "arcgis-days"
file = "layers/{{layer}}/{{yyyymmdd}}_{{layer}}.geojson"
index = "{url}/webmap"
"""
    + LAYERS.replace("{way}", "timelapse")
    + """
[live]
kind = "arcgis-live"
file = "layers/{{layer}}/{{yyyymmdd}}_{{layer}}.geojson"
timezone = "America/New_York"
index = "{url}/webmap"
"""
    + LAYERS.replace("{way}", "live")
)
HEAD = """
hosts = ["127.0.0.1"]
look = "the publisher's page"
terms_url = "the publisher's terms"
terms = "Do not pass the polygons on."
"""


@pytest.fixture(autouse=True)
def _today(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(TODAY.timestamp())))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("FRONTLINE_CONTACT", raising=False)


@pytest.fixture
def played():
    """A publisher with a month of everything."""
    control = PlayedLayer("VIEW_RussiaCoTinUkraine_V3", dict.fromkeys(MONTH, 3))
    claimed = PlayedLayer("Claimed Russian Territory", dict.fromkeys(MONTH, 1), "esriFieldTypeDate")
    found = Publisher(
        archive={day: collection([feature(day)]) for day in MONTH},
        nzz={day: {"value": collection([feature(day, type="nochange")])} for day in MONTH},
        services={
            "VIEW_RussiaCoTinUkraine_V3": {49: control},
            "VIEW_ClaimedRussianTerritoryinUkraine_V2": {1: claimed},
        },
    )
    stop = publisher.start(found)
    yield found
    stop()


@pytest.fixture
def ws(workspace, played):
    """A workspace in which every source's addresses are the played ones, and accepted."""
    for source, ways in (("deepstate", ARCHIVE), ("liveuamap", NZZ), ("isw", ISW)):
        folder = workspace.raw / source
        folder.mkdir()
        (folder / endpoints.OWN_FILE).write_text(HEAD + ways.format(url=played.url))
        fetch.accept(workspace, endpoints.load(workspace, source))
    return workspace


def run(ws, source="deepstate", days=THREE, policy=POLICY, **more):
    return fetch.run(ws, fetch.Asked(source, days[0], days[-1], **more), policy=policy)


def tree(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def maps(ws, source):
    """Names of the files that are an answer."""
    return [
        name
        for name in tree(ws.raw / source)
        if not name.endswith(raw.SIDECAR) and name != endpoints.OWN_FILE
    ]


# Files as served ----------------------------------------------------------------------------


def test_a_file_is_as_served_with_a_sidecar(ws, played):
    done = run(ws)
    assert done.new == [
        f"data/raw/deepstate/deepstatemap_data_2025010{n}.geojson" for n in (7, 8, 9)
    ]
    path = ws.root / done.new[1]
    body = json.dumps(played.archive[D("2025-01-08")]).encode()
    assert path.read_bytes() == body
    about = json.loads((path.parent / (path.name + ".meta.json")).read_text())
    assert about == {
        "url": f"{played.url}/archive/deepstatemap_data_20250108.geojson",
        "day": "2025-01-08",
        "retrieved": "2025-01-09T12:00:00+00:00",
        "status": 200,
        "bytes": len(body),
        "sha256": sha256(body).hexdigest(),
        "headers": about["headers"],
    }
    assert about["headers"]["etag"] == f'"{sha256(body).hexdigest()[:16]}"'
    assert "set-cookie" not in about["headers"]


def test_what_is_there_is_not_asked_for(ws, played):
    (ws.raw / "deepstate" / "deepstatemap_data_20250108.geojson").write_text("put there by hand")
    run(ws)
    done = run(ws)
    assert len(played.log) == 2
    assert (len(done.kept), done.new) == (3, [])


def test_a_day_without_a_file_is_a_gap_and_no_failure(ws, played):
    del played.archive[D("2025-01-08")]
    done = run(ws)
    assert done.absent == [D("2025-01-08")]
    assert len(done.new) == 2
    assert done.failed == []


def test_without_days_the_last_two_weeks_are_fetched(ws, played):
    done = fetch.run(ws, fetch.Asked("liveuamap"), policy=POLICY)
    assert len(done.new) == 14
    assert played.asked()[0] == "/nzz?config=%7B%22a%22%3A1%7D&to=2024-12-27"
    assert maps(ws, "liveuamap")[-1] == "2025-01-09.json"


def test_days_to_come_are_not_asked_for(ws, played):
    assert len(run(ws, days=between(D("2025-01-08"), D("2025-02-01"))).new) == 2
    with pytest.raises(ParameterError, match="2025-01-10 is after 2025-01-09"):
        run(ws, days=[D("2025-01-10")])


def test_the_last_update_of_a_day_in_kyiv_is_taken(ws, played):
    def update(text):
        when = datetime.fromisoformat(text)
        return {"id": int(when.timestamp()), "createdAt": text, "datetime": "without a year"}

    # 22:30 UTC is half past midnight in Kyiv.
    times = ("2025-01-07T10:00:00Z", "2025-01-07T20:00:00.000Z", "2025-01-07T22:30:00Z")
    played.updates = [update(text) for text in times] + [{"id": 5}]
    done = run(ws, way="history")
    ids = [played.updates[n]["id"] for n in (1, 2)]
    assert maps(ws, "deepstate") == [
        f"history/20250107_{ids[0]}.json",
        f"history/20250108_{ids[1]}.json",
    ]
    assert done.absent == [D("2025-01-09")]
    assert done.notes == ["1 of 4 updates have no number or time"]


# A changed past -----------------------------------------------------------------------------


def test_a_changed_answer_stands_beside_the_old_one(ws, played):
    run(ws)
    before = tree(ws.raw / "deepstate")
    day = D("2025-01-08")
    versions = [collection([feature(day), feature(day, 1)]), played.archive[day]]
    for number, content in enumerate(versions, 1):
        played.archive[day] = content
        done = run(ws, again=True)
        assert done.revised == ["data/raw/deepstate/deepstatemap_data_20250108.geojson"]
        assert len(done.same) == 2
        revision = ws.raw / "deepstate" / f"deepstatemap_data_20250108.rev-0{number}.geojson"
        assert json.loads(revision.read_bytes()) == content
    # What was there is as it was.
    assert {name: body for name, body in tree(ws.raw / "deepstate").items() if name in before} == (
        before
    )
    assert run(ws, again=True).revised == []


def test_asking_again_sends_what_is_known(ws, played):
    run(ws)
    played.log.clear()
    done = run(ws, again=True)
    assert len(done.same) == 3
    tags = [headers.get("If-None-Match") for _, headers in played.log]
    assert all(tags)
    assert len(set(tags)) == 3


def test_a_file_that_was_altered_is_asked_for_without_conditions(ws, played):
    run(ws)
    path = ws.raw / "deepstate" / "deepstatemap_data_20250108.geojson"
    path.write_text("bits have rotted")
    done = run(ws, again=True)
    assert len(done.same) == 2
    assert json.loads(raw.standing(path)[0].read_bytes()) == played.archive[D("2025-01-08")]


def test_the_newest_revision_is_what_is_read(ws, played):
    run(ws)
    played.archive[D("2025-01-08")] = collection([feature(D("2025-01-08"), 1)])
    run(ws, again=True)
    result = ingest.run(ws, "deepstate")[0]
    assert result.failed == []
    # The map of the 8th shows the 7th; the revision lies one degree further east.
    snapshot = snapshots.load(ws, "deepstate", D("2025-01-07"))
    assert snapshot.layers["assessed_control"].bounds[0] == 38.0


def test_sidecars_terms_and_addresses_are_not_read_as_maps(ws, played):
    for source in ("deepstate", "isw", "liveuamap"):
        run(ws, source)
        found = [path.name for path in publishers.files(ws, publishers.source(ws, source))]
        first = {"deepstate": 3, "liveuamap": 3, "isw": 6}
        assert len(found) == first[source]


# ArcGIS -------------------------------------------------------------------------------------


def test_days_are_found_and_pages_are_put_together(ws, played):
    control = played.services["VIEW_RussiaCoTinUkraine_V3"][49]
    control.days = {THREE[0]: 3, THREE[2]: 5}
    done = run(ws, "isw")
    name = "layers/RussianAssessedCoTinUkraine/20250109_RussianAssessedCoTinUkraine"
    pages = [f"{name}.page-{n}.geojson" for n in (1, 2, 3)]
    assert [n for n in maps(ws, "isw") if "20250109_RussianAss" in n] == pages
    assert [len(json.loads((ws.raw / "isw" / p).read_bytes())["features"]) for p in pages] == [
        2,
        2,
        1,
    ]
    # Times in the other layer: one feature a day, in one page.
    assert [n for n in maps(ws, "isw") if "Claimed" in n] == [
        f"layers/RussianClaimedCoTinUkraine/{day:%Y%m%d}_RussianClaimedCoTinUkraine.geojson"
        for day in THREE
    ]
    assert done.failed == []
    assert ingest.run(ws, "isw")[0].failed == []
    # Without control there is no map of the 8th.
    assert snapshots.days(ws, "isw") == [THREE[0], THREE[2]]
    assert snapshots.load(ws, "isw", THREE[2]).layers["assessed_control"].bounds[2] > 41


def test_a_layer_that_changes_between_pages_is_not_kept(ws, played):
    control = played.services["VIEW_RussiaCoTinUkraine_V3"][49]
    query = control.query

    def changing(asked):
        if asked.get("returnCountOnly"):
            return {"count": 4}
        return query(asked)

    control.query = changing
    done = run(ws, "isw")
    assert "3 features in 2 pages, but the service counts 4" in done.failed[0][1]
    assert [n for n in maps(ws, "isw") if "Assessed" in n] == []


def test_live_layers_are_of_the_day_of_the_newest_edit(ws, played):
    # 02:00 UTC is still the evening of the 8th in Washington.
    played.services["VIEW_RussiaCoTinUkraine_V3"][49].edited = datetime(2025, 1, 9, 2, tzinfo=UTC)
    played.services["VIEW_RussiaCoTinUkraine_V3"][49].days = {THREE[0]: 1}
    done = run(ws, "isw", way="live")
    assert [n.rpartition("/")[2] for n in done.new] == [
        "20250108_RussianAssessedCoTinUkraine.geojson",
        "20250108_RussianClaimedCoTinUkraine.geojson",
    ]
    assert run(ws, "isw", way="live").new == []


def test_a_live_layer_edited_after_it_was_fetched_is_asked_for_again(ws, played, monkeypatch):
    claimed = played.services["VIEW_ClaimedRussianTerritoryinUkraine_V2"][1]
    control = played.services["VIEW_RussiaCoTinUkraine_V3"][49]
    claimed.days, control.days = {THREE[0]: 1}, {THREE[0]: 1}
    claimed.edited = control.edited = datetime(2025, 1, 9, 11, tzinfo=UTC)
    assert len(run(ws, "isw", way="live").new) == 2
    # Both were touched, one was changed.
    claimed.days = {THREE[0]: 2}
    claimed.edited = control.edited = datetime(2025, 1, 9, 16, tzinfo=UTC)
    done = run(ws, "isw", way="live")
    assert len(done.same) == 1
    assert [n.rpartition("/")[2] for n in done.revised] == [
        "20250109_RussianClaimedCoTinUkraine.geojson"
    ]


def test_live_layers_of_another_day_are_told_of(ws, played):
    done = run(ws, "isw", days=between(D("2024-12-20"), D("2024-12-21")), way="live")
    assert done.new == []
    assert done.notes == ["the service shows 2025-01-08, a day that was not asked for"]


def test_a_moved_layer_is_found_by_its_name(ws, played):
    service = played.services["VIEW_RussiaCoTinUkraine_V3"]
    service[51] = service.pop(49)
    # Another layer has taken its number.
    service[49] = PlayedLayer("Reported Partisan Warfare", dict.fromkeys(MONTH, 1))
    done = run(ws, "isw")
    assert done.failed == []
    assert len(done.new) == 6
    assert done.notes == [
        "RussianAssessedCoTinUkraine was found by its name at "
        f"{played.url}/rest/services/VIEW_RussiaCoTinUkraine_V3/FeatureServer/51"
    ]


def test_a_moved_service_is_found_in_the_web_map(ws, played):
    moved = played.services.pop("VIEW_RussiaCoTinUkraine_V3")
    played.services["VIEW_RussiaCoTinUkraine_V4"] = {7: moved[49]}
    address = f"{played.url}/rest/services/VIEW_RussiaCoTinUkraine_V4/FeatureServer/7"
    group = {"title": "Map", "layers": [{"title": "Assessed control", "url": address}]}
    played.webmap = [
        {"title": "Roads", "url": f"{played.url}/rest/services/R/FeatureServer"},
        group,
    ]
    done = run(ws, "isw")
    assert done.failed == []
    assert done.notes == [f"RussianAssessedCoTinUkraine was found by its name at {address}"]


def test_layers_that_only_web_maps_tell_are_asked_of_the_maps_of_the_window(ws, played):
    address = f"{played.url}/rest/services/VIEW_RussiaCoTinUkraine_V3/FeatureServer"
    played.webmap = [{"title": "RussianAssessedCoTinUkraine", "url": address}]
    months = [("2024-12-01", "2024-12-31", "dec"), ("2025-01-01", "2025-01-31", "jan")]
    (ws.raw / "isw" / endpoints.OWN_FILE).write_text(
        HEAD + '[timelapse]\nkind = "arcgis-days"\nfile = "layers/{yyyymmdd}_{layer}.geojson"\n'
        '[[timelapse.layers]]\nlayer = "RussianAssessedCoTinUkraine"\n'
        'like = ["russianassessedcotinukraine", "russiacotinukraine"]\n'
        + "".join(
            f"[[timelapse.maps]]\nsince = {since}\nuntil = {until}\n"
            f'url = "{played.url}/webmap?month={month}"\n'
            for since, until, month in months
        )
    )
    done = run(ws, "isw", days=between(D("2025-01-01"), D("2025-01-09")))
    assert len(done.new) == 9
    assert (done.failed, done.notes) == ([], [])
    assert played.asked("/webmap") == ["/webmap?month=jan"]


def test_a_layer_that_is_nowhere_says_where_to_look(ws, played):
    played.services["VIEW_RussiaCoTinUkraine_V3"] = {
        3: PlayedLayer("Advances", {}),
        4: PlayedLayer("Partisans", {}),
    }
    played.webmap = [{"title": "Roads", "url": f"{played.url}/rest/services/R/FeatureServer/0"}]
    done = run(ws, "isw")
    assert len(done.new) == 3  # the other layer
    ((name, message),) = done.failed
    assert name == "RussianAssessedCoTinUkraine"
    for part in ("has the layers 'Advances', 'Partisans'", "lists 'Roads'", "the publisher's page"):
        assert part in message


def test_two_layers_of_one_name_are_not_guessed_between(ws, played):
    service = played.services["VIEW_RussiaCoTinUkraine_V3"]
    service[50], service[51] = service[49], PlayedLayer("RussiaCoTinUkraine old", {})
    del service[49]
    ((_, message),) = run(ws, "isw").failed
    assert "several of that name" in message


def test_which_field_tells_the_day_is_not_guessed(ws, played):
    layer = played.services["VIEW_RussiaCoTinUkraine_V3"][49]
    about = layer.about(49)
    about["fields"].append({"name": "published", "type": "esriFieldTypeDate"})
    layer.about = lambda _: about
    ((_, message),) = run(ws, "isw").failed
    assert "It has datetime, EditDate, published" in message
    about["timeInfo"] = {"startTimeField": "datetime"}
    assert run(ws, "isw").failed == []


def test_a_service_without_geojson_is_asked_for_its_own_json(ws, played):
    played.services["VIEW_RussiaCoTinUkraine_V3"][49].formats = "JSON"
    run(ws, "isw")
    assert any(name.endswith(".page-1.json") for name in maps(ws, "isw"))


@pytest.mark.parametrize(
    "about",
    [
        {"fields": "none"},
        {"fields": [None, {"type": "esriFieldTypeDate"}], "timeInfo": []},
        {"editingInfo": [1], "maxRecordCount": "many", "fields": None},
    ],
)
def test_metadata_of_an_odd_shape_are_a_fault_and_no_crash(ws, played, about):
    layer = played.services["VIEW_RussiaCoTinUkraine_V3"][49]
    whole = layer.about(49)
    layer.about = lambda _: whole | about
    for way in ("timelapse", "live"):
        run(ws, "isw", way=way)
    played.services["VIEW_RussiaCoTinUkraine_V3"] = {"x": layer}
    played.webmap = [None, "text", {"url": 3}]
    assert "was not found" in run(ws, "isw").failed[0][1]


def test_a_day_of_times_begins_in_the_publishers_zone():
    about = {"fields": [{"name": "d", "type": "esriFieldTypeDate"}]}
    service = arcgis.Service("L", "https://h/x/FeatureServer/0", about)
    where = arcgis.between(service, D("2025-01-08"), D("2025-01-08"), ZoneInfo("America/New_York"))
    assert where == ("d >= TIMESTAMP '2025-01-08 05:00:00' AND d < TIMESTAMP '2025-01-09 05:00:00'")


# Faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_is_asked_through(ws, played, fault):
    played.faults["20250108"] = [fault]
    done = run(ws)
    assert done.failed == []
    assert len(played.asked("20250108")) == 2
    path = ws.raw / "deepstate" / "deepstatemap_data_20250108.geojson"
    assert json.loads(path.read_bytes()) == played.archive[D("2025-01-08")]


@pytest.mark.parametrize(
    ("fault", "times", "message"),
    [
        ("busy", 4, "status 503. Asked 4 times; run again later"),
        ("cut", 4, "not JSON, or cut off"),
        ("page_of_html", 4, "it begins '<html>"),
        ("truncated", 4, "broke off"),
        ("hang", 4, "no answer in time"),
        ("drip", 4, "not complete after 0.8 s"),
        ("forbidden", 1, "refused with status 403"),
        ("no_token", 1, "an error with status 200: 403 You do not have permissions"),
        ("away", 1, "not one of the publisher's hosts (127.0.0.1)"),
        ("here", 6, "redirects without end"),
        ("huge", 1, "more than the 1,000,000 bytes allowed"),
        ("swollen", 1, "more than the 1,000,000 bytes allowed"),
        ("bomb", 1, "more than the 1,000,000 bytes allowed"),
    ],
)
def test_a_lasting_fault_leaves_nothing_and_does_not_stop_the_rest(
    ws, played, fault, times, message
):
    played.faults["20250108"] = [fault] * 10
    done = run(ws)
    ((name, said),) = done.failed
    assert name == "data/raw/deepstate/deepstatemap_data_20250108.geojson"
    assert message in said
    assert f"{played.url}/archive/deepstatemap_data_20250108.geojson" in said or fault == "away"
    assert len(played.asked("20250108")) == times
    assert [n[-12:-8] for n in maps(ws, "deepstate")] == ["0107", "0109"]
    # The next run asks for what is not there, and for that alone.
    played.faults.clear()
    played.log.clear()
    assert len(run(ws).new) == 1
    assert len(played.log) == 1


def test_a_list_that_is_not_there_is_no_map(ws, played):
    played.archive[D("2025-01-08")] = {"message": "moved"}
    ((_, message),) = run(ws).failed
    assert "has no list 'features'; it begins '{\"message\": \"moved\"}'" in message


def test_a_publisher_who_fails_three_times_in_a_row_is_left_alone(ws, played):
    played.faults["/archive/"] = ["forbidden"] * 100
    done = run(ws, days=MONTH)
    assert len(played.log) == 3
    assert done.notes == [
        "the publisher is left alone until the next run; 27 not asked",
        "The addresses were last checked never",
    ]


def test_a_publisher_who_asks_to_be_left_alone_is(ws, played):
    played.faults["/archive/"] = ["", "much_later"]
    done = run(ws)
    assert len(done.new) == 1
    assert "It asks to wait 36000 s: run again after that" in done.failed[0][1]
    assert len(played.log) == 2


def test_a_full_disk_is_told_of_and_what_was_fetched_stays(ws, played, monkeypatch):
    run(ws, days=THREE[:1])
    before = tree(ws.raw / "deepstate")

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(raw, "write_atomic", full)
    with pytest.raises(WorkspaceError, match=r"20250108\.geojson: No space left on device"):
        run(ws)
    assert tree(ws.raw / "deepstate") == before


def test_an_archive_that_is_cut_off_is_seen():
    check = fetch._check(endpoints.Way("zips", "files", "{ddMONyyyy}.zip"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("map.shp", b"0" * 1000)
    check(buffer.getvalue())
    with pytest.raises(web.PassingError, match="not a zip archive, or cut off"):
        check(buffer.getvalue()[:-30])


@pytest.mark.parametrize(("source", "answers"), [("isw", 60), ("deepstate", 30), ("liveuamap", 30)])
def test_a_month_with_every_fault_ends_complete(ws, played, tmp_path_factory, source, answers):
    clean = Workspace.at(shutil.copytree(ws.root, tmp_path_factory.mktemp("clean") / "ws"))
    assert len(run(clean, source, days=MONTH).new) == answers
    played.hits.clear()
    played.every = (*PASSING[:6] * 3, *PASSING[6:], *LASTING, "")
    runs = 0
    while (done := run(ws, source, days=MONTH)).failed:
        runs += 1
        assert runs < 40
    assert tree(ws.raw / source) == tree(clean.raw / source)
    assert len(done.new) + len(done.kept) == answers


def test_killed_at_20_points_and_resumed_the_tree_is_the_same(ws, played, tmp_path_factory):
    days = between(D("2024-11-11"), D("2025-01-09"))
    for layer in (one for layers in played.services.values() for one in layers.values()):
        layer.days = dict.fromkeys(days, layer.days[MONTH[0]])
    clean = Workspace.at(shutil.copytree(ws.root, tmp_path_factory.mktemp("clean") / "ws"))
    run(clean, "isw", days=days)
    played.log.clear()
    chance = random.Random(20)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.fetch"])
    asked = fetch.Asked("isw", days[0], days[-1])
    progress = []
    for kill in range(20):
        child = context.Process(target=publisher.fetch_all, args=(str(ws.root), asked))
        # Eight questions are for the layers and their days.
        goal = len(played.log) + 8 + chance.randrange(12)
        child.start()
        while child.is_alive() and len(played.log) < goal:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.01)
        assert child.is_alive(), f"the run was over after {kill} kills"
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        child.close()
        progress.append(len(maps(ws, "isw")))
    assert len(set(progress)) >= 10
    run(ws, "isw", days=days)
    assert tree(ws.raw / "isw") == tree(clean.raw / "isw")
    # Two pages and a count at the most are asked for again after a kill.
    pages = played.asked("outFields=%2A")
    assert len(set(pages)) == 60 * 3
    assert len(pages) <= len(set(pages)) + 2 * 20


def test_pages_that_a_killed_run_left_are_not_taken_for_a_part_of_the_next(ws, played):
    folder = ws.raw / "isw" / "layers" / "RussianAssessedCoTinUkraine"
    folder.mkdir(parents=True)
    left = folder / "20250108_RussianAssessedCoTinUkraine.page-3.geojson"
    left.write_text("the last of three")
    run(ws, "isw")
    assert not left.exists()
    assert len(raw.standing(folder / "20250108_RussianAssessedCoTinUkraine.geojson")) == 2


# Manners ------------------------------------------------------------------------------------


def test_it_says_who_asks_and_whom_to_write_to(ws, played, monkeypatch):
    monkeypatch.setenv("FRONTLINE_CONTACT", "desk@example.org")
    run(ws)
    agents = {headers["User-Agent"] for _, headers in played.log}
    (agent,) = agents
    assert agent.startswith("frontline-notebooks/")
    assert "desk@example.org" in agent


def test_no_password_of_the_user_is_sent(ws, played, monkeypatch, tmp_path):
    secrets = tmp_path / "netrc"
    secrets.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(secrets))
    run(ws)
    assert all("Authorization" not in headers for _, headers in played.log)


def test_it_pauses_between_questions_and_asks_one_at_a_time(played):
    waits = []
    policy = Policy(hosts=("127.0.0.1",), pause_s=5)
    with Client(policy, sleep=waits.append) as client:
        for day in THREE:
            client.get(f"{played.url}/archive/deepstatemap_data_{day:%Y%m%d}.geojson")
    assert waits[0] == 0
    assert all(4.5 < wait <= 5 for wait in waits[1:])
    assert played.most_at_once == 1


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (["busy", "busy", "busy"], [2, 4, 8]),
        (["throttled", "busy"], [0, 4]),
    ],
)
def test_it_backs_off_and_honours_what_the_publisher_asks(played, faults, expected):
    waits = []
    played.faults["/archive/"] = faults
    policy = Policy(hosts=("127.0.0.1",), pause_s=0, backoff_s=2)
    with Client(policy, sleep=waits.append) as client:
        client.get(f"{played.url}/archive/deepstatemap_data_20250108.geojson")
    assert [wait for n, wait in enumerate(waits) if n % 2] == expected


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120), ("Thu, 09 Jan 2025 12:00:30 GMT", 30), ("soon", None), ("", None)],
)
def test_retry_after_is_a_number_or_a_date(said, seconds):
    assert web._retry_after({"Retry-After": said}, TODAY) == seconds


def test_only_tls_is_asked_outside_this_machine():
    with (
        Client(Policy(hosts=("example.org",))) as client,
        pytest.raises(FetchError, match="only https is asked"),
    ):
        client.get("http://example.org/map")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_a_certificate_that_nobody_signed_is_refused(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = publisher.Server(("127.0.0.1", 0), publisher.Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with Client(POLICY) as client, pytest.raises(FetchError, match="certificate is not valid"):
            client.get(f"https://127.0.0.1:{server.server_port}/")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_nothing_at_an_address_is_told_apart(played):
    with Client(POLICY) as client, pytest.raises(AbsentError, match="nothing is there"):
        client.get(f"{played.url}/nowhere")


# Terms --------------------------------------------------------------------------------------


def test_the_first_fetch_shows_the_terms_and_asks_nothing(ws, played):
    (ws.raw / "deepstate" / fetch.TERMS_FILE).unlink()
    with pytest.raises(FetchError) as caught:
        run(ws)
    for part in ("Do not pass the polygons on.", "DeepState daily polygons", "--accept-terms deep"):
        assert part in str(caught.value)
    assert played.log == []


def test_terms_are_remembered_with_the_day_until_they_change(ws):
    known = endpoints.load(ws, "deepstate")
    assert fetch.accepted(ws, known) == "2025-01-09"
    path = ws.raw / "deepstate" / endpoints.OWN_FILE
    path.write_text(path.read_text().replace("Do not", "You may"))
    assert fetch.accepted(ws, endpoints.load(ws, "deepstate")) == ""


@pytest.mark.parametrize("source", ["deepstate", "isw", "liveuamap"])
def test_shipped_addresses_are_whole_and_claim_no_check_that_was_not_made(workspace, source):
    known = endpoints.load(workspace, source)
    assert known.checked == "" or D(known.checked)
    assert known.note
    assert known.look.startswith("https://")
    words = fetch.terms(workspace, known)
    assert publishers.source(workspace, source).attribution in words
    assert "Do not pass the polygons on" in words
    addresses = [known.terms_url]
    for way in known.ways:
        addresses += [way.url, way.index, *(layer.url for layer in way.layers)]
        addresses += [one.url for one in way.maps]
    hosts = {a.split("/")[2] for a in addresses[1:] if a}
    assert hosts <= set(known.hosts)
    assert all(a.startswith("https://") for a in addresses if a)


@pytest.mark.parametrize("source", ["isw"])
def test_the_shipped_names_of_layers_are_known_to_the_reader(workspace, source):
    from helpers.readers.isw import layer_of

    layers = {layer.layer for way in endpoints.load(workspace, source).ways for layer in way.layers}
    found = {layer_of(name) for name in layers}
    assert None not in found
    assert len(found) == len(layers)


def test_faults_of_an_endpoints_file_are_told_together(workspace):
    folder = workspace.raw / "mine"
    folder.mkdir()
    (folder / endpoints.OWN_FILE).write_text(
        'hosts = "h"\nterms = "t"\nspeed = 3\n'
        '[a]\nkind = "ftp"\nfile = "../{yyyymmdd}.json"\ntimezone = "Mars"\n'
        '[b]\nkind = "files"\nfile = "x.json"\n'
    )
    with pytest.raises(FetchError) as caught:
        endpoints.load(workspace, "mine")
    for part in (
        "hosts must be list",
        "unknown key 'speed'",
        "no terms_url",
        "[a] kind must be one of files",
        "[a] file must be a name below",
        "[a] unknown timezone 'Mars'",
        "[b] no url",
    ):
        assert part in str(caught.value)


def test_unknown_sources_and_ways_are_answered_with_the_known(ws):
    with pytest.raises(ParameterError, match="Did you mean 'isw'"):
        run(ws, "isv")
    with pytest.raises(ParameterError, match="Known: archive, history"):
        run(ws, way="ftp")


def test_any_template_of_ones_own_is_fetched(ws, played):
    folder = ws.raw / "mine"
    folder.mkdir()
    (folder / "source.toml").write_text(
        '[source]\npublisher = "P"\ntitle = "T"\nattribution = "A"\nlicence = "L"\n'
        'covers = "C"\ncaveat = "V"\npositional_error_m = 100\npattern = "*.geojson"\n'
        '[read]\nlayer = "assessed_control"\n'
    )
    (folder / endpoints.OWN_FILE).write_text(
        HEAD + f'[all]\nkind = "files"\nfile = "{{yyyymmdd}}.geojson"\n'
        f'url = "{played.url}/archive/deepstatemap_data_{{yyyymmdd}}.geojson"\n'
    )
    fetch.accept(ws, endpoints.load(ws, "mine"))
    assert len(run(ws, "mine").new) == 3


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("a_{yyyymmdd}.geojson", "a_20250108.geojson"),
        ("?to={yyyy-mm-dd}&x=%7B{other}", "?to=2025-01-08&x=%7B{other}"),
        ("UkraineControlMapAO{ddMONyyyy}.zip", "UkraineControlMapAO08JAN2025.zip"),
    ],
)
def test_a_template_is_filled(template, filled):
    assert endpoints.fill(template, D("2025-01-08")) == filled


def test_two_runs_at_once_do_not_mix(ws, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(fetch, "_LOCK_WAIT_S", 0.05)
    lock = ws.processed / "deepstate" / ".fetch.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(WorkspaceError, match="Another run is fetching deepstate"):
        run(ws)


# The command line, and a day's work ---------------------------------------------------------


def command(ws, *words):
    return CliRunner().invoke(main, ["--root", str(ws.root), *words])


def test_the_command_shows_terms_then_fetches(ws, played, monkeypatch):
    (ws.raw / "deepstate" / fetch.TERMS_FILE).unlink()
    words = ("fetch", "deepstate", "--since", "2025-01-07", "--until", "2025-01-09")
    path = ws.raw / "deepstate" / endpoints.OWN_FILE
    path.write_text("pause_s = 0.0\n" + path.read_text())
    first = command(ws, *words)
    assert first.exit_code == 1
    assert "Do not pass the polygons on." in first.output
    wrong = command(ws, *words, "--accept-terms", "isw")
    assert "--accept-terms isw is not the source deepstate" in wrong.output
    done = command(ws, *words, "--accept-terms", "deepstate")
    assert done.exit_code == 0, done.output
    assert (
        "deepstate: 3 new, 0 revised, 0 unchanged, 0 days without a file, 0 failed" in done.output
    )
    played.faults["20250108"] = ["forbidden"]
    (ws.raw / "deepstate" / "deepstatemap_data_20250108.geojson").unlink()
    failed = command(ws, *words)
    assert failed.exit_code == 1
    assert "failed: data/raw/deepstate/deepstatemap_data_20250108.geojson: http" in failed.output


class Work:
    """A day's work with the real fetching and reading, and a report that is only noted."""

    def __init__(self, ws, days=THREE):
        self.ws, self.reports, self.lines = ws, [], []
        self.steps = daily.Steps(
            fetch=lambda: run(ws, days=days),
            ingest=lambda: ingest.run(ws, "deepstate")[0].failed,
            quarantined=lambda: snapshots.quarantined(ws, "deepstate", days[0], days[-1]),
            days=lambda: snapshots.days(ws, "deepstate"),
            has_report=lambda day: day in self.reports,
            report=self.report,
            site=lambda: Path("site/index.html"),
        )

    def report(self, day):
        self.reports.append(day)
        return self.ws.reports / day.isoformat() / "index.html"

    def __call__(self):
        return daily.attempt(self.steps, self.lines.append)


def test_a_days_work_tells_made_from_nothing_new(ws, played):
    del played.archive[THREE[2]]
    work = Work(ws)
    assert work() == daily.MADE
    assert work.reports == [D("2025-01-07")]  # the map of the 8th shows the 7th
    assert work() == daily.NOTHING_NEW
    assert work.reports == [D("2025-01-07")]
    played.archive[THREE[2]] = collection([feature(THREE[2])])
    assert work() == daily.MADE
    assert work.reports[-1] == D("2025-01-08")
    # A run that died before its report makes up for it.
    work.reports.clear()
    assert work() == daily.MADE


def test_a_days_work_tells_failed(ws, played):
    played.faults["20250109"] = ["forbidden"]
    work = Work(ws)
    assert work() == daily.FAILED
    assert work.reports == [D("2025-01-07")]  # what could be done was done
    assert any("refused with status 403" in line for line in work.lines)


def test_a_days_work_tells_a_file_that_cannot_be_read(ws, played):
    played.archive[THREE[2]] = collection([])
    work = Work(ws)
    assert work() == daily.FAILED
    assert any("the map is empty" in line for line in work.lines)


def test_a_days_work_tells_quarantined(ws, played):
    # Nearly all of the map is gone.
    small = feature(THREE[2])
    small["geometry"]["coordinates"] = [[[37, 48], [37.01, 48], [37.01, 48.01], [37, 48]]]
    played.archive = {day: collection([feature(day, n) for n in range(3)]) for day in MONTH}
    played.archive[THREE[2]] = collection([small])
    work = Work(ws, MONTH)
    assert work() == daily.QUARANTINED
    assert work.reports == [D("2025-01-07")]
    assert "  quarantined: 2025-01-08; see frontline check" in work.lines


def test_the_daily_command_tells_nothing_new_from_failed(ws, played):
    path = ws.raw / "deepstate" / endpoints.OWN_FILE
    path.write_text("pause_s = 0.0\n" + path.read_text())
    run(ws)
    pretend(ws, plans.request(ws, D("2025-01-08"), source_id="deepstate"))
    words = ("daily", "--source", "deepstate", "--since", "2025-01-07")
    done = command(ws, *words)
    assert done.exit_code == daily.NOTHING_NEW, done.output
    (ws.raw / "deepstate" / "deepstatemap_data_20250107.geojson").unlink()
    played.faults["20250107"] = ["forbidden"]
    assert command(ws, *words).exit_code == daily.FAILED


def test_a_days_work_without_terms_fails_with_the_terms(ws):
    (ws.raw / "deepstate" / fetch.TERMS_FILE).unlink()
    work = Work(ws)
    assert work() == daily.FAILED
    assert "Do not pass the polygons on." in "\n".join(work.lines)


# The documentation --------------------------------------------------------------------------

DOCS = (PROJECT / "docs" / "daily.md").read_text()


def test_the_page_tells_the_exit_statuses_and_the_ways_there_are(workspace):
    told = dict(re.findall(r"^\| (\d) \| (.+) \|$", DOCS, re.MULTILINE))
    assert set(map(int, told)) == {
        daily.MADE,
        daily.FAILED,
        2,
        daily.QUARANTINED,
        daily.NOTHING_NEW,
    }
    assert told["3"].startswith("the newest day is quarantined")
    assert told["4"] == "nothing new"
    assert f"SuccessExitStatus={daily.NOTHING_NEW}" in DOCS
    for source in ("deepstate", "isw", "liveuamap"):
        for way in endpoints.load(workspace, source).ways:
            assert f"| `{way.name}` |" in DOCS


def test_the_pages_workflow_timer_and_example_can_be_read(workspace):
    blocks = dict(re.findall(r"```(yaml|toml)\n(.*?)```", DOCS, re.DOTALL))
    workflow = yaml.safe_load(blocks["yaml"])
    steps = workflow["jobs"]["daily"]["steps"]
    assert any("frontline daily --source deepstate" in step.get("run", "") for step in steps)
    folder = workspace.raw / "example"
    folder.mkdir()
    (folder / endpoints.OWN_FILE).write_text(blocks["toml"])
    (way,) = endpoints.load(workspace, "example").ways
    assert endpoints.fill(way.url, D("2025-01-08")).endswith("/control/2025-01-08.geojson")
    service, timer = re.findall(r"```ini\n(.*?)```", DOCS, re.DOTALL)
    for unit, section in ((service, "Service"), (timer, "Timer")):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(unit)
        assert section in parser
