"""Claims: the ledger and its faults, and what maps say to a claim."""

import csv
import io
import itertools
from datetime import date

import pandas as pd
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from grounds import boxes, marked, snapshot
from helpers import claims, dossiers, ledger, publishers, reference, settlements, sources
from helpers.cli import main
from helpers.errors import SchemaError, WorkspaceError
from helpers.workspace import PROJECT, Workspace

SHIPPED = PROJECT / "data" / "raw" / "claims" / "claims.csv"
GAZETTEER = claims.Gazetteer(reference.settlements(), reference.place_names())
SECTORS = reference.sectors()
ROW = {
    "claim_id": "X1",
    "date": "2025-01-06",
    "claimant": "Somebody",
    "place": "Kurakhove",
    "sector": "kurakhove",
    "claim_type": "official_capture_claim",
    "asserts": "russian_held",
    "statement": "Somebody says so.",
    "area_km2": "",
    "of_km2": "",
    "area_kind": "",
    "source_title": "A paper",
    "source_date": "2025-01-06",
    "confidence": "high",
}


def book(*rows):
    table = pd.DataFrame([ROW | {"claim_id": f"X{n}"} | row for n, row in enumerate(rows, 1)])
    return claims.check(table, GAZETTEER, SECTORS, "claims.csv")


# The ledger ------------------------------------------------------------------------------------


def test_the_shipped_ledger_is_whole():
    table = ledger.read(Workspace.at(PROJECT))
    assert len(table) == len(SHIPPED.read_text().splitlines()) - 1 >= 37
    assert table["date"].is_monotonic_increasing
    assert {"kurakhove", "toretsk", "kursk"} == {key for keys in table["sector"] for key in keys}
    first = table[table["claim_id"] == "C17"].iloc[0]
    assert (first["places"][0].name, first["asserts"]) == ("Kurakhove", "russian_held")
    assert table.loc[table["claim_id"] == "C25", ["area_km2", "of_km2"]].values.tolist() == [
        [801.0, 1268.0]
    ]


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *itertools.product(("Toretsk", "Торецьк", "Дзержинск", "Dzerzhinsk"), ("Toretsk",)),
        *itertools.product(("Kurakhove", "Курахове", "Курахово", "KURAKHOVO"), ("Kurakhove",)),
        ("gn695357", "Kurakhove"),
        ("Niu-York", "Niu-York"),
        ("Sudzha", "Sudzha"),
    ],
)
def test_a_place_is_found_in_any_spelling(spelling, name):
    (place,) = book({"place": spelling})["places"][0]
    assert (place.name, place.part) == (name, "")


def test_a_part_of_a_place_and_what_is_near_it_are_told_apart():
    first, second = book(
        {"place": "Kurakhove thermal power plant and western outskirts"},
        {"place": "near Kurakhove"},
    )["places"]
    assert (first[0].name, first[0].part) == (
        "Kurakhove",
        "thermal power plant and western outskirts",
    )
    assert (second[0].name, second[0].part) == ("Kurakhove", "near")


def test_a_name_that_several_have_is_the_one_in_the_sector_or_an_error():
    (place,) = book({"place": "Katerynivka"})["places"][0]
    assert place.id == "gnp85652kat"
    with pytest.raises(SchemaError, match=r"is the name of several: gn688089 \(48.56"):
        book({"place": "Katerynivka", "sector": "kursk"})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"claim_id": "17"}, "line 2, claim_id: '17' is not letters and a number"),
        ({"date": "6.1.2025"}, "line 2, date: '6.1.2025' is not a day"),
        ({"date": ""}, "line 2, date: '' is not a day"),
        ({"source_date": "2025-02-30"}, "line 2, source_date: '2025-02-30' is not a day"),
        ({"claimant": " "}, "line 2, claimant: is empty"),
        ({"sector": "kurakove"}, "line 2, sector: 'kurakove' is not a sector. Known: toretsk"),
        (
            {"claim_type": "official_denail"},
            "'official_denail' is not one of .*; 'official_denial'",
        ),
        ({"asserts": "held"}, "line 2, asserts: 'held' is not one of russian_held"),
        ({"confidence": ""}, "line 2, confidence: '' is not one of high, medium, low"),
        ({"area_km2": "800 km2"}, "line 2, area_km2: '800 km2' is not an area"),
        ({"area_km2": "nan"}, "line 2, area_km2: 'nan' is not an area"),
        ({"asserts": "area", "area_km2": "800"}, "needs area_km2 and area_kind"),
        ({"area_kind": "held"}, "area_km2: is empty beside area_kind 'held'"),
        ({"place": "Kurakhov"}, "line 2, place: 'Kurakhov' is no settlement .* Near: .*Kurakhove"),
        ({"place": "Qwxz"}, r"'Qwxz' is no settlement of the gazetteer. Where no map can place it"),
    ],
)
def test_every_fault_is_named(row, message):
    with pytest.raises(SchemaError, match=message):
        book(row)


def test_all_faults_are_told_at_once():
    with pytest.raises(SchemaError, match="3 faults") as caught:
        book({"date": "x"}, {"asserts": "y", "place": "Qwxz"})
    lines = [line[2:8] for line in str(caught.value).splitlines()[1:]]
    assert lines == ["line 2", "line 3", "line 3"]
    table = pd.DataFrame([ROW, ROW])
    with pytest.raises(SchemaError, match="claim_id X1 is there twice"):
        claims.check(table, GAZETTEER, SECTORS, "claims.csv")
    with pytest.raises(SchemaError, match="columns missing: confidence"):
        claims.check(table.drop(columns="confidence"), GAZETTEER, SECTORS, "claims.csv")


def write(ws, text):
    folder = ws.raw / "claims"
    folder.mkdir()
    (folder / "claims.csv").write_bytes(text)


def test_a_place_that_is_not_known_may_be_said_to_be_so():
    (place,) = book({"place": "Aleksandriya (not placed)"})["places"][0]
    assert (place.id, place.name) == ("", "Aleksandriya")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not a CSV table"),
        (b"\xff\xfe\x00", "not a CSV table in UTF-8"),
        (b'claim_id,date\n"C1,2025', "not a CSV table|columns missing"),
        (b"a,b\n1,2,3\n", "line 2 has 3 fields, the head has 2. Put texts with commas"),
        (b"claim_id,date\nC1,2025-01-01\n", "columns missing: claimant"),
    ],
)
def test_a_file_that_is_no_ledger_is_said(workspace, text, message):
    write(workspace, text)
    with pytest.raises(SchemaError, match=message):
        ledger.read(workspace)


def test_the_ledger_of_a_workspace_or_else_the_shipped_one(workspace, monkeypatch):
    assert ledger.path(workspace) == SHIPPED
    text = io.StringIO()
    writer = csv.DictWriter(text, list(ROW))
    writer.writeheader()
    writer.writerows([ROW, ROW | {"claim_id": "X2", "date": "2025-01-09"}])
    write(workspace, text.getvalue().encode())
    assert list(ledger.read(workspace)["claim_id"]) == ["X1", "X2"]
    known = ledger.read(workspace.known_by(date(2025, 1, 8)))
    assert list(known["claim_id"]) == ["X1"]
    done = CliRunner().invoke(main, ["--root", str(workspace.root), "claims", "check"])
    assert done.exit_code == 0
    assert "2 claims, 2025-01-06 to 2025-01-09, on 1 settlements" in done.output
    (workspace.claims_file).write_text(text.getvalue().replace("high", "hgih"))
    done = CliRunner().invoke(main, ["--root", str(workspace.root), "claims", "check"])
    assert done.exit_code == 1
    assert "line 2, confidence: 'hgih' is not one of high, medium, low; 'high'?" in done.output
    workspace.claims_file.unlink()
    monkeypatch.setattr(ledger, "PROJECT", workspace.root)
    with pytest.raises(WorkspaceError, match=r"There is no ledger .*docs/claims.md"):
        ledger.read(workspace)


def test_of_area_claims_only_the_last_stands():
    table = book(
        {"asserts": "area", "area_km2": "1000", "area_kind": "held", "date": "2024-08-12"},
        {"asserts": "area", "area_km2": "1263", "area_kind": "held", "date": "2024-08-20"},
        {"asserts": "area", "area_km2": "10", "area_kind": "retaken", "date": "2024-08-13"},
        {"date": "2024-08-11"},
        {"date": "2025-08-11"},
        {"sector": "toretsk", "place": "Toretsk", "date": "2024-08-11"},
    )
    assert list(claims.standing(table, date(2025, 1, 8))["claim_id"]) == ["X4", "X6", "X3", "X2"]
    only = claims.standing(table, date(2024, 8, 12), ["kurakhove"])
    assert list(only["claim_id"]) == ["X4", "X1"]


# On the map --------------------------------------------------------------------------------------

SOURCE = sources.get("deepstate")
KURAKHOVE = reference.settlements().set_index("id", drop=False).loc[["gn695357"]]
LON, LAT = 37.2807, 47.9847
EAST, WEST, ALL = boxes((LON, 47, 39, 49)), boxes((36, 47, LON, 49)), boxes((36, 47, 39, 49))
NOTHING = boxes((38.5, 47, 39, 47.5))


def follow(grounds, *rows, source=SOURCE, tier="control"):
    """Claims on Kurakhove on maps of January 2025: day to ground."""
    layer = "ukrainian_held" if tier == "ukrainian_held" else "assessed_control"
    maps = [snapshot(ground, day, layer) for day, ground in grounds.items()]
    history = claims.histories(maps, KURAKHOVE, tier=tier, source=source)
    return claims.follow(book(*rows), {"kurakhove": history})


HELD, NOT_HELD = {"asserts": "russian_held"}, {"asserts": "not_russian_held"}


@pytest.mark.parametrize(
    ("ground", "held", "not_held"),
    [
        (ALL, "confirmed", "contradicted"),
        (EAST, "contested", "contested"),
        (NOTHING, "contradicted", "confirmed"),
    ],
)
def test_both_sides_meet_the_same_map(ground, held, not_held):
    table = follow({6: ground}, HELD, NOT_HELD)
    assert list(table["status"]) == [held, not_held]
    assert table["now_share"].nunique() == 1


def test_what_ukraine_holds_is_the_other_side():
    table = follow({6: NOTHING}, HELD, NOT_HELD, tier="ukrainian_held")
    assert list(table["status"]) == ["confirmed", "contradicted"]
    assert list(table["now_share"]) == [1.0, 1.0]


def test_a_line_too_near_to_tell_is_contested():
    reach = settlements.disc_radius_km([18220])[0]
    # 100 m beyond the disc, where the source's lines may be off by 200 m.
    edge = LON - (reach + 0.1) / 74.6
    table = follow({6: boxes((edge, 47, 39, 49))}, HELD, NOT_HELD)
    assert list(table["now_share"]) == [1.0, 1.0]
    assert list(table["status"]) == ["contested", "contested"]
    far = follow({6: boxes((edge - 0.01, 47, 39, 49))}, HELD)
    assert list(far["status"]) == ["confirmed"]


def test_dates_that_may_be_late_need_as_many_days():
    late = sources.get("reconstruction")
    grounds = dict.fromkeys(range(1, 7), NOTHING) | dict.fromkeys(range(7, 31), ALL)
    for day, status in ((10, "contested"), (20, "contested"), (21, "confirmed")):
        known = {d: g for d, g in grounds.items() if d <= day}
        assert list(follow(known, HELD, source=late)["status"]) == [status], day
    assert list(follow(grounds, HELD, source=late)["days"]) == [15]
    assert list(follow(grounds, HELD)["days"]) == [1]


def test_when_the_maps_came_to_show_it():
    grounds = {4: NOTHING, 5: ALL, 6: EAST, 8: ALL, 9: ALL}
    row = follow(grounds, HELD).iloc[0]
    assert (row["shown_since"], row["days"]) == (pd.Timestamp("2025-01-08"), 2)
    assert (row["map_then"], row["status_then"]) == (pd.Timestamp("2025-01-06"), "contested")
    assert row["then_share"] == pytest.approx(0.5, abs=0.01)
    row = follow({1: ALL, 6: ALL}, HELD).iloc[0]
    assert (row["shown_since"], row["days"]) == (pd.Timestamp("2025-01-01"), -5)


def test_what_no_map_can_tell_is_open():
    unplaced, part, elsewhere = (
        HELD | {"place": "Aleksandriya (not placed)"},
        HELD | {"place": "Kurakhove thermal power plant"},
        HELD | {"place": "Toretsk", "sector": "toretsk"},
    )
    table = follow({6: ALL}, unplaced, part, elsewhere, {"asserts": "nothing"})
    assert list(table["status"]) == ["open"] * 3
    assert list(table["now_share"].isna()) == [True, False, True]
    # A map long before the claim says nothing of its day.
    old = follow({1: ALL}, HELD | {"date": "2025-01-20"}).iloc[0]
    assert (old["status_then"], old["status"]) == ("open", "confirmed")


@given(st.lists(st.sampled_from(["all", "east", "none"]), min_size=1, max_size=8))
def test_a_claim_and_its_denial_are_never_both_borne_out(kinds):
    grounds = {n: {"all": ALL, "east": EAST, "none": NOTHING}[k] for n, k in enumerate(kinds, 1)}
    table = follow(grounds, HELD, NOT_HELD)
    mirrored = {"confirmed": "contradicted", "contradicted": "confirmed"}
    for column in ("status", "status_then"):
        first, second = table[column]
        assert second == mirrored.get(first, first)


def measured(**areas):
    days = pd.to_datetime([f"2025-01-{day[1:]}" for day in areas])
    return pd.DataFrame({"day": days, "area_km2": list(areas.values()), "area_error_km2": 20.0})


def test_areas_beside_the_measured_ones():
    table = book(
        {"asserts": "area", "area_km2": "480", "area_kind": "held", "date": "2025-01-06"},
        {"asserts": "area", "area_km2": "801", "area_kind": "retaken", "date": "2025-01-06"},
        {"asserts": "area", "area_km2": "300", "area_kind": "held", "date": "2025-01-20",
         "claimant": "Another"},
    )  # fmt: skip
    found = claims.areas(table, {"kurakhove": measured(_01=1300.0, _05=490.0, _09=100.0)})
    assert list(found["status"]) == ["confirmed", "confirmed", "open"]
    assert list(found["measured_km2"])[:2] == [490.0, 810.0]
    assert found["measured_of_km2"].iloc[1] == 1300.0
    assert list(claims.areas(table, {})["status"]) == ["open"] * 3
    far = measured(_01=1300.0, _05=700.0)
    assert list(claims.areas(table, {"kurakhove": far})["status"])[:2] == ["contradicted"] * 2


@pytest.mark.parametrize(
    ("net", "error", "status"),
    [(5.0, 1.0, "confirmed"), (-5.0, 1.0, "contradicted"), (1.0, 2.0, "contested")],
)
def test_an_advance_beside_the_week_before(net, error, status):
    class Change:
        net_km2, change_error_km2 = net, error

    table = book({"asserts": "advance"})
    asked = []
    found = claims.advances(table, lambda key, day: asked.append((key, day)) or Change())
    assert (list(found["status"]), asked) == ([status], [("kurakhove", date(2025, 1, 6))])
    assert list(claims.advances(table, lambda key, day: None)["status"]) == ["open"]


def test_ground_that_is_claimed_and_not_assessed():
    followed = follow({6: EAST}, HELD)
    ground = claims.not_assessed(followed, KURAKHOVE, EAST, tier="control")
    disc = settlements.discs(KURAKHOVE)[0]
    assert ground.area == pytest.approx(disc.area / 2, rel=0.01)
    assert not shapely.intersects(ground, shapely.buffer(EAST, -1e-9))
    other = claims.not_assessed(followed, KURAKHOVE, WEST, tier="ukrainian_held")
    assert shapely.equals_exact(shapely.normalize(other), shapely.normalize(ground), 1e-9)


# Real maps ---------------------------------------------------------------------------------------


@marked
def test_kurakhove_in_january_on_deepstates_maps(deepstate):
    """What an editor was told: contested on the 6th and 7th, shown as held from the 8th on."""
    source = publishers.source(deepstate, "deepstate")
    verdicts = {}
    for day in (6, 7, 8, 12):
        found = dossiers.on_claims(
            deepstate,
            source,
            date(2025, 1, day),
            [SECTORS["kurakhove"]],
            start=date(2024, 12, 1),
        )
        rows = found.followed.set_index("claim_id")
        verdicts[day] = {key: rows.loc[key, "status"] for key in ("C17", "C18")}
        assert "reconstructed" not in " ".join(f.text for f in found.sentences())
    assert verdicts[6] == verdicts[7] == {"C17": "contested", "C18": "contested"}
    assert verdicts[8] == verdicts[12] == {"C17": "confirmed", "C18": "contradicted"}
    # The power plant is finer than a map of settlements can tell.
    assert rows.loc["C19", "status"] == rows.loc["C24", "status"] == "open"
    assert rows.loc["C23", "status"] == "confirmed"
