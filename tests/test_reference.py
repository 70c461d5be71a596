"""What ships: hashes, geography against known facts, names; and an analyst's own sectors."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import shapely

from helpers import reference
from helpers.errors import ParameterError
from helpers.files import sha256
from helpers.projection import STORAGE_CRS, area_km2, local_crs, transform

PROJECT = Path(__file__).parents[1]
BASE = PROJECT / "src" / "helpers" / "base"
FACTS = PROJECT / "data" / "raw" / "reconstruction" / "facts"
CURATION = PROJECT / "scripts" / "base_curation.csv"

# Official areas, km². Kherson's counts lagoons and estuaries, which the outline leaves to the sea.
OFFICIAL_KM2 = {
    "Donetsk": 26_517,
    "Luhansk": 26_684,
    "Kherson": 28_461,
    "Zaporizhzhia": 27_183,
    "Kharkiv": 31_415,
    "Sumy": 23_834,
    "Dnipropetrovsk": 31_914,
    "Kursk": 29_997,
    "Belgorod": 27_134,
    "Bryansk": 34_857,
}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def metres(lon, lat) -> np.ndarray:
    return transform(shapely.points(lon, lat), local_crs(36.5, 49.5))


def in_frames():
    table = reference.settlements()
    return table[table["sector_hint"] != ""]


# The files --------------------------------------------------------------------------------------


def test_the_files_are_those_that_were_built():
    built = reference.base_sources()
    assert {p.name for p in BASE.iterdir()} == {*built["file"], "SOURCES.csv", "LICENSE-ODbL.txt"}
    for row in built.itertuples():
        assert row.sha256 == sha256(BASE / row.file), row.file
    assert sum(p.stat().st_size for p in BASE.iterdir()) <= 900_000


def test_every_layer_names_its_licence_and_credit():
    built = reference.base_sources()
    assert set(built["licence"]) == {"ODbL 1.0", "public domain", "CC BY 4.0", "MIT"}
    osm = set(built.loc[built["licence"] == "ODbL 1.0", "file"])
    notice = (BASE / "LICENSE-ODbL.txt").read_text(encoding="utf-8")
    assert osm == {"border.geojson", "countries.geojson", "oblasts.geojson", "ukraine.geojson"}
    assert all(file in notice for file in osm)
    assert reference.attributions() == (
        "GeoNames (CC BY 4.0)",
        "Natural Earth",
        "© OpenStreetMap contributors (ODbL)",
    )


def test_the_layers_follow_rfc_7946():
    for path in BASE.glob("*.geojson"):
        for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
            shape = shapely.from_geojson(json.dumps(feature["geometry"]))
            assert shape.is_valid, (path.name, feature["properties"])
            xy = shapely.get_coordinates(shape)
            assert (abs(xy - xy.round(4)) < 1e-12).all()
            if "Polygon" in shape.geom_type:
                assert shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(shape))).all()


# Geography --------------------------------------------------------------------------------------


def test_oblasts_have_their_area_and_do_not_overlap():
    table = reference.oblasts().set_index("name")
    area = dict(zip(table.index, area_km2(table.geometry.to_numpy()), strict=True))
    off = {name: area[name] / known - 1 for name, known in OFFICIAL_KM2.items()}
    assert -0.13 < off.pop("Kherson") < -0.11
    assert max(map(abs, off.values())) < 0.015, off
    ukrainian = table[table["country"] == "UA"]
    assert len(ukrainian) == 27
    whole = area_km2(reference.ukraine())
    assert sum(area_km2(ukrainian.geometry.to_numpy())) == pytest.approx(whole, abs=100)
    for country in ("UA", "RU"):
        shapes = table.loc[table["country"] == country, "geometry"]
        overlap = area_km2(shapes.to_numpy()).sum() - area_km2(shapely.union_all(shapes))
        assert abs(overlap) < 0.1


def test_ukraine_has_its_area_and_crimea_and_meets_its_neighbours():
    ukraine, around = reference.ukraine(), reference.countries().set_index("name").geometry
    # 603,549 km² with inland waters, bays and estuaries.
    assert area_km2(ukraine) == pytest.approx(603_549, rel=0.015)
    simferopol = shapely.Point(34.10, 44.95)
    assert ukraine.contains(simferopol)
    assert not around.contains(simferopol).any()
    assert "Ukraine" not in around
    assert sum(area_km2(shapely.intersection(around.to_numpy(), ukraine))) < 2
    # Along the border, as far as the coast, there is no gap either.
    land = shapely.union_all([ukraine, *around])
    along = shapely.clip_by_rect(reference.border(), 31, 47.2, 41, 53).buffer(0.03)
    assert area_km2(along.difference(land)) < 0.5


def test_the_border_runs_from_belarus_to_the_sea_of_azov():
    border = reference.border()
    assert border.geom_type == "LineString"
    assert border.is_simple
    start, end = shapely.Point(border.coords[0]), shapely.Point(border.coords[-1])
    # The Three Sisters monument stands near the point that three countries share.
    assert metres(*start.coords[0]).distance(metres(31.785, 52.113)) < 500
    assert end.x == pytest.approx(38.22, abs=0.02)
    assert end.y == pytest.approx(47.11, abs=0.02)
    assert 1900 < sum(shapely.get_coordinates(border)[:, 1] > 0) < 2200
    # It is Ukraine's outline there.
    assert (
        shapely.hausdorff_distance(
            border, border.intersection(reference.ukraine().boundary.buffer(1e-6))
        )
        < 1e-3
    )


def test_the_border_is_near_the_one_of_the_facts():
    path = FACTS / "border_sumy_kursk.geojson"
    side = json.loads(path.read_text(encoding="utf-8"))["features"][0]["geometry"]
    window = shapely.from_geojson(json.dumps(side))
    line = shapely.clip_by_rect(reference.border(), 34.3, 50.9, 35.4, 51.85)
    xy = shapely.get_coordinates(shapely.segmentize(line, 0.002))
    theirs = transform(window.boundary, local_crs(36.5, 49.5))
    # Natural Earth's, shifted to fit: its own median error is about 500 m.
    assert np.median(shapely.distance(metres(*xy.T), theirs)) < 700


@pytest.mark.real
def test_the_border_is_within_300_m_of_a_map_that_follows_it(shared_data):
    path = shared_data / "deepstate" / "deepstatemap_data_20250109.geojson"
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    held = shapely.union_all([shapely.from_geojson(json.dumps(f["geometry"])) for f in features])
    xy = shapely.get_coordinates(shapely.segmentize(held.boundary, 0.002))
    xy = xy[(xy[:, 0] > 38.3) & (xy[:, 1] > 47.15)]
    off = shapely.distance(metres(*xy.T), transform(reference.border(), local_crs(36.5, 49.5)))
    along = off[off < 5000]
    assert len(along) > 3000
    assert np.median(along) < 100
    assert np.percentile(along, 90) < 300


def test_places_lie_in_their_country():
    table = reference.settlements()
    ukraine = transform(reference.ukraine(), local_crs(36.5, 49.5))
    points = metres(table["lon"], table["lat"])
    inside = shapely.contains(ukraine, points)
    # Coordinates are good to a kilometre, and the coast is simplified.
    clear = shapely.distance(points, ukraine.boundary) > 1500
    assert (inside == (table["country"] == "UA"))[clear].all()
    wrong = table[(inside != (table["country"] == "UA")) & (table["sector_hint"] != "")]
    assert len(wrong) <= 2, wrong["name"].tolist()


# Names ------------------------------------------------------------------------------------------


def test_the_gazetteer_is_complete_where_it_must_be():
    table = reference.settlements().set_index("id")
    assert table.index.is_unique
    assert table["rank"].isin([1, 2, 3, 4]).all()
    assert table["quality"].isin(["A", "B", "C"]).all()
    assert set(table["sector_hint"]) == {"", *reference.sectors()}
    for name, sector in reference.sectors().items():
        inside = shapely.contains_xy(sector.polygon, table["lon"], table["lat"])
        assert (inside == (table["sector_hint"] == name)).all()
        assert inside.sum() >= 25
    outside = table[table["sector_hint"] == ""]
    assert len(outside) < 500
    cities = {"Kyiv", "Kharkiv", "Odesa", "Dnipro", "Donetsk", "Lviv", "Zaporizhzhia", "Kursk"}
    assert cities <= set(table.loc[table["rank"] == 1, "name"])
    towns = {"Bakhmut", "Pokrovsk", "Myrnohrad", "Kostiantynivka", "Druzhkivka", "Avdiivka", "Lgov"}
    assert towns <= set(table.loc[table["rank"] == 2, "name"])


def test_every_settlement_of_the_facts_is_there_or_dropped_for_a_reason():
    known = set(reference.settlements()["id"])
    reasons = {r["id"]: r["note"] for r in read(CURATION) if r["field"] == "drop"}
    assert all(reasons.values())
    assert not known & set(reasons)
    for event in read(FACTS / "control_events.csv"):
        assert event["settlement_id"] in known or event["settlement_id"] in reasons, event


def test_names_are_written_one_way():
    table = in_frames()
    assert table["name"].map(lambda n: bool(re.fullmatch("[A-Z][A-Za-z -]+", n))).all()
    ukrainian = "[АБВГҐДЕЄЖЗИІЇЙКЛМНОПРСТУФХЦЧШЩЮЯ][абвгґдеєжзиіїйклмнопрстуфхцчшщьюя’ А-ЯІЇЄ-]+"
    odd = table[~table["name_uk"].map(lambda n: bool(re.fullmatch(ukrainian, n)))]
    assert odd.empty, odd[["name", "name_uk"]]
    names = set(reference.settlements()["name"])
    assert {"Toretsk", "Kurakhove", "Niu-York", "Novyi Komar", "Ukrainsk", "Velyka Novosilka"} <= (
        names
    )
    assert {"Sudzha", "Tyotkino", "Bolshoye Soldatskoye", "Rylsk", "Yunakivka", "Khotin"} <= names


def test_no_district_of_a_city_is_a_settlement():
    table = reference.settlements()
    districts = {r["label"] for r in read(CURATION) if r["note"].startswith("district of")}
    assert len(districts) > 60
    # Villages elsewhere that share a district's name.
    namesakes = {"Novyi Svit", "Shevchenko", "Terny", "Vesele", "Voskresenka"}
    assert set(table["name"]) & districts == namesakes
    # So many people so near a city's centre would be a district; Perevalsk, a town, has 25,000.
    cities = table[table["rank"] == 1]
    here, there = (metres(t["lon"], t["lat"]) for t in (cities, table))
    _, j = shapely.STRtree(there).query(here, predicate="dwithin", distance=6000)
    near = table.iloc[j][table["population"].to_numpy()[j] > 30_000]
    assert set(near["name"]) <= set(cities["name"]), near["name"].tolist()


def test_no_settlement_stands_twice():
    table = reference.settlements()
    points = metres(table["lon"], table["lat"])
    i, j = shapely.STRtree(points).query(points, predicate="dwithin", distance=2500)
    pairs = [(a, b) for a, b in zip(i, j, strict=True) if a < b]
    names = table["name"].to_numpy()
    assert [names[a] for a, b in pairs if names[a] == names[b]] == []
    assert [
        (names[a], names[b]) for a, b in pairs if shapely.distance(points[a], points[b]) < 300
    ] == []


@pytest.mark.parametrize(
    ("place", "others"),
    [
        ("Toretsk", "Торецьк, Торецк, Дзержинськ, Дзержинск, Dzerzhinsk"),
        ("Kurakhove", "Курахове, Курахово, Kurakhovo"),
        ("Niu-York", "Нью-Йорк, Новгородское, Novgorodskoye, New York"),
        ("Selydove", "Селидове, Селидово, Selidovo"),
        ("Hirnyk", "Гірник, Горняк, Gornyak"),
        ("Velyka Novosilka", "Велика Новосілка, Великая Новосёлка, Velikaya Novosyolka"),
        ("Bohoiavlenka", "Богоявленка, Bogoyavlenka"),
        ("Pokrovsk", "Покровськ, Покровск, Krasnoarmeysk"),
        ("Russkoye Porechnoye", "Руське Порічне, Русское Поречное"),
    ],
)
def test_other_names_lead_to_the_settlement(place, others):
    table, names = reference.settlements(), reference.place_names()
    (key,) = table.loc[table["name"] == place, "id"]
    for other in others.split(", "):
        assert key in set(names.loc[names["name"] == other, "id"]), other


def test_every_name_is_of_a_settlement_and_in_a_known_language():
    names, table = reference.place_names(), reference.settlements()
    assert set(names["lang"]) == {"uk", "ru", "en", "old"}
    assert not names.duplicated().any()
    assert not names["name"].str.strip().eq("").any()
    assert set(names["id"]) <= set(table["id"])
    spoken = names.groupby("id")["lang"].agg(set)
    assert [i for i in in_frames()["id"] if not {"uk", "ru", "en"} <= spoken[i]] == []


def test_the_names_in_claims_are_known():
    names = set(reference.place_names()["name"])
    claimed = {r["place"] for r in read(PROJECT / "data" / "raw" / "claims" / "claims.csv")}
    assert {"Selydove", "Toretsk", "Kurakhove", "Niu-York", "Sudzha"} <= claimed & names


# Sectors ----------------------------------------------------------------------------------------


def test_the_shipped_frames_have_their_size_on_the_ground():
    shipped = reference.sectors()
    assert list(shipped) == ["toretsk", "kurakhove", "kursk"]
    assert [s.measure for s in shipped.values()] == ["presence", "presence", "ukrainian_held"]
    for sector in shipped.values():
        exact = sector.width_km * sector.height_km
        assert area_km2(sector.polygon) == pytest.approx(exact, rel=1e-6)
        xy = shapely.get_coordinates(transform(sector.polygon, sector.crs))
        x0, y0, x1, y1 = sector.bounds_m
        assert [*xy.min(axis=0), *xy.max(axis=0)] == pytest.approx([x0, y0, x1, y1], abs=0.01)
        assert shapely.contains_xy(sector.polygon, sector.lon, sector.lat)


def test_an_unknown_sector_names_the_known_ones():
    with pytest.raises(
        ParameterError, match=r"Did you mean 'kurakhove'.*kurakhove, kursk, toretsk"
    ):
        reference.sector("kurahove")


def write(path: Path, *features: tuple[dict, dict]) -> Path:
    made = [{"type": "Feature", "properties": p, "geometry": g} for p, g in features]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": made}), encoding="utf-8")
    return path


POKROVSK = {"key": "pokrovsk", "name": "Pokrovsk", "measure": "presence"}
POINT = {"type": "Point", "coordinates": [37.18, 48.28]}
TRIANGLE = {"type": "Polygon", "coordinates": [[[37, 48], [37.5, 48], [37.2, 48.3], [37, 48]]]}


def test_an_analysts_frame_joins_and_replaces(tmp_path):
    size = {"width_km": 40, "height_km": 31.2}
    path = write(tmp_path / "s.geojson", (POKROVSK | size, POINT))
    assert list(reference.sectors(path)) == ["toretsk", "kurakhove", "kursk", "pokrovsk"]
    assert area_km2(reference.sector("pokrovsk", path).polygon) == pytest.approx(1248, rel=1e-6)
    path = write(tmp_path / "s.geojson", (POKROVSK | size | {"key": "toretsk"}, POINT))
    assert reference.sector("toretsk", path).name == "Pokrovsk"
    assert reference.sector("toretsk", tmp_path / "none.geojson").name == "Toretsk"


def test_a_polygon_is_measured_as_drawn_in_the_frame_around_it(tmp_path):
    path = write(tmp_path / "s.geojson", (POKROVSK, TRIANGLE))
    sector = reference.sector("pokrovsk", path)
    drawn = shapely.from_geojson(json.dumps(TRIANGLE))
    assert sector.polygon.equals(drawn)
    frame = shapely.box(*sector.bounds_m)
    inside = transform(shapely.segmentize(drawn, 0.001), sector.crs)
    assert frame.covers(inside)
    # No wider than it must be: half a degree is 37.2 km at 48 N, and 0.3 degrees are 33.4 km.
    assert sector.width_km == pytest.approx(37.3, abs=0.1)
    assert sector.height_km == pytest.approx(33.4, abs=0.1)


def test_a_box_is_a_frame_around_it():
    sector = reference.sector("36.9,47.8,37.5,48.2")
    box = shapely.box(36.9, 47.8, 37.5, 48.2)
    assert sector.measure == "presence"
    assert (sector.lon, sector.lat) == pytest.approx((37.2, 48.0))
    assert area_km2(box.difference(sector.polygon)) < 0.01
    assert area_km2(sector.polygon) / area_km2(box) < 1.01
    assert shapely.is_valid(transform(sector.polygon, sector.crs, source=STORAGE_CRS))


@pytest.mark.parametrize(
    "text", ["1,2,3", "a,b,c,d", "37.5,47.8,36.9,48.2", "36.9,48.2,37.5,47.8", "0,0,nan,1", ","]
)
def test_what_is_not_a_box_is_refused(text):
    with pytest.raises(ParameterError, match="west,south,east,north"):
        reference.sector(text)


@pytest.mark.parametrize(
    ("properties", "geometry", "fault"),
    [
        ({"key": "a"}, POINT, "lacks 'name'"),
        (POKROVSK, POINT, "lacks 'width_km'"),
        (POKROVSK | {"width_km": 40, "height_km": 0}, POINT, "between 0 and 2000"),
        (POKROVSK | {"width_km": float("nan"), "height_km": 9}, POINT, "between 0 and 2000"),
        (POKROVSK | {"measure": "presense"}, TRIANGLE, "Did you mean 'presence'"),
        (POKROVSK | {"key": "../up"}, TRIANGLE, "letters, digits and hyphens"),
        (POKROVSK, {"type": "LineString", "coordinates": [[37, 48], [38, 48]]}, "neither a point"),
        (POKROVSK, {"type": "Point", "coordinates": [4150000, 6140000]}, "not longitude"),
        (POKROVSK, None, "feature 0"),
    ],
)
def test_a_faulty_sector_is_named(tmp_path, properties, geometry, fault):
    path = write(tmp_path / "s.geojson", (properties, geometry))
    with pytest.raises(ParameterError, match=fault) as caught:
        reference.sectors(path)
    assert f"{path}, feature 0" in str(caught.value)


def test_a_bow_tie_is_not_a_sector(tmp_path):
    tie = {"type": "Polygon", "coordinates": [[[37, 48], [38, 49], [38, 48], [37, 49], [37, 48]]]}
    with pytest.raises(ParameterError, match="valid polygon"):
        reference.sectors(write(tmp_path / "s.geojson", (POKROVSK, tie)))


def test_a_key_cannot_stand_twice_in_a_file(tmp_path):
    path = write(tmp_path / "s.geojson", (POKROVSK, TRIANGLE), (POKROVSK, TRIANGLE))
    with pytest.raises(ParameterError, match="feature 1: the key 'pokrovsk' is given twice"):
        reference.sectors(path)


def test_a_torn_file_is_named(tmp_path):
    path = tmp_path / "s.geojson"
    path.write_text('{"features": [', encoding="utf-8")
    with pytest.raises(ParameterError, match=re.escape(str(path))):
        reference.sectors(path)


def test_what_is_given_out_can_be_changed_without_harm():
    for table in (
        reference.settlements,
        reference.place_names,
        reference.oblasts,
        reference.countries,
        reference.base_sources,
    ):
        first = table()
        first.iloc[0, 0] = "changed"
        assert table().iloc[0, 0] != "changed"
