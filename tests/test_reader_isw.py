import json
import zipfile
from datetime import date

import geopandas as gpd
import pytest
import shapely

from helpers.errors import SnapshotError
from helpers.projection import STORAGE_CRS, area_km2
from helpers.readers import isw, names

BOX = shapely.box(37.0, 48.0, 37.2, 48.2)
EAST = shapely.box(37.2, 48.0, 37.3, 48.2)
DAY = date(2025, 1, 8)


def feature(ground=BOX, **properties):
    geometry = None if ground is None else json.loads(shapely.to_geojson(ground))
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def write(tmp_path, name, *features, **members):
    path = tmp_path / name
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": features, **members}),
        encoding="utf-8",
    )
    return path


def read(path):
    return {m.layer: m for m in isw.read(path)}


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("20220901_RussianAssessedCoTinUkraine", "assessed_control"),
        ("20220901_RussianAssessedAdvanceinUkraine", "assessed_advance"),
        ("20220901_RussianClaimedCoTinUkraine", "claimed_control"),
        ("20220901_UkrainianClaimedCounterOffensives", "claimed_counteroffensive"),
        ("20220901_UkrainianReportedPartisanWarfare", "reported_partisan_warfare"),
    ],
)
def test_a_file_for_each_layer(tmp_path, name, layer):
    found = read(write(tmp_path, f"{name}.geojson", feature(FID=1)))
    assert set(found) == {layer}
    assert found[layer].day == found[layer].published == date(2022, 9, 1)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("ロシア軍支配エリア", "assessed_control"),
        ("ロシア軍侵攻エリア", "assessed_advance_or_claimed"),
        ("ウクライナ軍反撃エリア", "claimed_counteroffensive"),
        ("VIEW_RussiaCoTinUkraine_V3", "assessed_control"),
        ("MDS_AssessedRussianAdvanceInUkraine_view", "assessed_advance"),
        ("VIEW_ClaimedRussianTerritoryinUkraine_V2", "claimed_control"),
        ("View_AssessedRussianInfiltrationAreasinUkraine_V4", "assessed_infiltration"),
        ("VIEW_Russian_controlled_Ukrainian_Territory_before_February_24_2022", None),
        ("UkraineControlMapAO", "assessed_control"),
        ("AssessedRussianAdvance_Merge_APR", "assessed_advance"),
        ("ClaimedUkrainianCounte_Merge_APR", "claimed_counteroffensive"),
        ("Claimed_Russian_Control_over_Ukrainian_Territory", "claimed_control"),
        ("ReportedUkrainianPartisanWarfare", "reported_partisan_warfare"),
        ("kursk_russian_advances", "regained"),
        ("russian_infiltration", "assessed_infiltration"),
        ("ukraine_other", None),
    ],
)
def test_the_names_of_layers(name, layer):
    expected = "pre_invasion_control" if "before_February" in name else layer
    assert isw.layer_of(name) == expected


def test_one_file_with_all_layers_under_japanese_names(tmp_path):
    path = write(
        tmp_path,
        "20230510.geojson",
        feature(name="ロシア軍支配エリア"),
        feature(EAST, name="ロシア軍侵攻エリア"),
        *[feature(None, name="ロシア軍支配エリア")] * 5,
    )
    found = read(path)
    assert set(found) == {"assessed_control", "assessed_advance_or_claimed"}
    # 949 features without geometry in the 2023 archive: counted, and left out.
    assert found["assessed_control"].repairs.nulls == 5


def test_one_file_with_all_layers_under_service_names(tmp_path):
    path = write(
        tmp_path,
        "20230601.geojson",
        feature(OBJECTID=1, layer="VIEW_RussiaCoTinUkraine_V3"),
        feature(EAST, OBJECTID=1, layer="MDS_AssessedRussianAdvanceInUkraine_view"),
        feature(EAST, OBJECTID=2, layer="VIEW_ClaimedRussianTerritoryinUkraine_V2"),
    )
    assert set(read(path)) == {"assessed_control", "assessed_advance", "claimed_control"}


def test_an_unknown_layer_is_an_error(tmp_path):
    path = write(tmp_path, "20230601.geojson", feature(layer="VIEW_Something_New"))
    with pytest.raises(SnapshotError, match=r"does not tell one known layer.*VIEW_Something_New"):
        read(path)


def test_an_empty_layer_is_none_and_empty_control_is_an_error(tmp_path):
    # 15 and 16 March 2022: 45 bytes, no counteroffensives.
    found = read(write(tmp_path, "20220315_UkrainianClaimedCounterOffensives.geojson"))
    assert found["claimed_counteroffensive"].geometry.is_empty
    with pytest.raises(SnapshotError, match="assessed_control is empty"):
        read(write(tmp_path, "20220315_RussianAssessedCoTinUkraine.geojson"))


def test_doubled_features_are_counted_once(tmp_path):
    # 23 May 2022: every claim twice, 1,925 km² instead of 963.
    path = write(tmp_path, "20220523_RussianClaimedCoTinUkraine.geojson", feature(), feature())
    found = read(path)["claimed_control"]
    assert area_km2(found.geometry) == pytest.approx(area_km2(BOX), rel=1e-9)
    assert found.repairs.doubled_km2 == pytest.approx(area_km2(BOX), rel=1e-6)


def test_change_points_have_heights_nulls_and_their_own_date(tmp_path):
    about = {"date": "2025-01-08", "area_km2": 0.1, "layer_type": "ukraine_control_map"}
    high = shapely.force_3d(BOX, 0)
    found = read(
        write(tmp_path, "2025-01-08.geojson", feature(high, **about), feature(None, **about))
    )
    control = found["assessed_control"]
    assert not control.geometry.has_z
    assert control.repairs.nulls == 1
    regained = {**about, "layer_type": "kursk_russian_advances"}
    assert set(read(write(tmp_path, "2025-01-08.geojson", feature(**regained)))) == {"regained"}


@pytest.mark.parametrize("value", ["2025-01-07", 1736208000000])
def test_a_property_that_contradicts_the_name_is_an_error(tmp_path, value):
    path = write(tmp_path, "20250108_RussianAssessedCoTinUkraine.geojson", feature(Datetime=value))
    with pytest.raises(SnapshotError, match=r"the name says 2025-01-08, but .* says 2025-01-07"):
        read(path)


def test_an_interval_of_validity_is_no_contradiction(tmp_path):
    about = {"ChangeDate": 1661731200000, "EndDate": 1663027200000}
    path = write(tmp_path, "20220901_UkrainianClaimedCounterOffensives.geojson", feature(**about))
    assert read(path)["claimed_counteroffensive"].day == date(2022, 9, 1)


def test_an_impossible_date_is_left_to_the_gate(tmp_path):
    about = {"date": "2202-02-02", "layer_type": "ukraine_control_map"}
    found = read(write(tmp_path, "2202-02-02.geojson", feature(**about)))
    assert found["assessed_control"].day == date(2202, 2, 2)


def shapefile(tmp_path, stem="UkraineControlMapAO08JAN2025", *, crs="EPSG:3857", folder=""):
    table = gpd.GeoDataFrame({"FID_1": [1]}, geometry=[BOX], crs=STORAGE_CRS).to_crs(crs)
    plain = tmp_path / "plain"
    plain.mkdir(exist_ok=True)
    table.to_file(plain / f"{stem}.shp")
    path = tmp_path / f"{stem}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part in sorted(plain.iterdir()):
            archive.write(part, folder + part.name)
    return path


@pytest.mark.parametrize("folder", ["", "UkraineControlMapAO08JAN2025/"])
def test_a_zipped_shapefile_in_metres(tmp_path, folder):
    found = read(shapefile(tmp_path, folder=folder))["assessed_control"]
    assert found.day == DAY
    assert area_km2(found.geometry) == pytest.approx(area_km2(BOX), rel=1e-6)


@pytest.mark.parametrize(
    ("entry", "message"),
    [("../../etc/passwd.shp", "leaves the archive"), ("a/b.txt", "holds 0 shapefiles")],
)
def test_an_archive_that_is_not_safe_is_refused(tmp_path, entry, message):
    path = tmp_path / "UkraineControlMapAO08JAN2025.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "x")
    with pytest.raises(SnapshotError, match=message):
        read(path)


@pytest.mark.parametrize(
    "name",
    ["UkraineControlMapAO02FEB22024.zip", "ReportedUkrainianPartisanWarfareNOV092924.zip",
     "AssessedRussianAdvanceInUkraineAPR13.zip", "ClaimedUkrainianCounteroffensivesDEC060205.zip"],
)  # fmt: skip
def test_a_day_is_never_guessed(tmp_path, name):
    day = names.day_in(name.split(".")[0])
    assert day is None or day.year in (205, 2924)  # a year the gate refuses
    with pytest.raises(SnapshotError):
        read(tmp_path / name)


def rings(ground):
    return [[list(xy) for xy in ground.exterior.coords]]


def arcgis(tmp_path, name, *grounds, wkid=4326, more=False):
    path = tmp_path / name
    content = {
        "geometryType": "esriGeometryPolygon",
        "spatialReference": {"wkid": wkid},
        "fields": [{"name": "OBJECTID", "type": "esriFieldTypeOID"}],
        "features": [
            {"attributes": {"OBJECTID": n}, "geometry": {"rings": rings(g)}}
            for n, g in enumerate(grounds)
        ],
    }
    if more:
        content["exceededTransferLimit"] = True
    path.write_text(json.dumps(content))
    return path


def test_a_page_of_a_service_in_its_own_json(tmp_path):
    found = read(arcgis(tmp_path, "20250108_VIEW_RussiaCoTinUkraine_V3.json", BOX.reverse()))
    assert area_km2(found["assessed_control"].geometry) == pytest.approx(area_km2(BOX), rel=1e-9)


def test_pages_are_read_together_and_must_all_be_there(tmp_path):
    stem = "20250108_VIEW_RussiaCoTinUkraine_V3"
    first = arcgis(tmp_path, f"{stem}.page-1.json", BOX.reverse(), more=True)
    with pytest.raises(SnapshotError, match="the page that follows is not here"):
        read(first)
    second = arcgis(tmp_path, f"{stem}.page-2.json", EAST.reverse())
    found = read(first)["assessed_control"].geometry
    assert area_km2(found) == pytest.approx(area_km2(BOX) + area_km2(EAST), rel=1e-9)
    assert names.is_later_page(second.name)
    assert not names.is_later_page(first.name)


def test_a_geojson_page_that_is_not_the_last_is_an_error(tmp_path):
    path = write(
        tmp_path,
        "20250108_VIEW_RussiaCoTinUkraine_V3.geojson",
        feature(OBJECTID=1),
        properties={"exceededTransferLimit": True},
    )
    with pytest.raises(SnapshotError, match="the page that follows is not here"):
        read(path)


@pytest.mark.parametrize("ending", [".geojson", ".json"])
def test_an_error_that_came_with_status_200_is_named(tmp_path, ending):
    path = tmp_path / f"20250108_VIEW_RussiaCoTinUkraine_V3{ending}"
    path.write_text('{"error": {"code": 400, "message": "Invalid query parameters"}}')
    with pytest.raises(SnapshotError, match="not GeoJSON"):
        read(path)


@pytest.mark.real
def test_real_layers_are_disjoint_and_have_the_published_size(shared_data):
    day = "20220901"
    found = {}
    for path in (shared_data / "isw" / "layers").rglob(f"{day}_*.geojson"):
        found |= read(path)
    assert len(found) == 5
    control, advance = found["assessed_control"].geometry, found["assessed_advance"].geometry
    assert area_km2(shapely.intersection(control, advance)) < 1
    assert area_km2(control) == pytest.approx(120_712, abs=1)


@pytest.mark.real
def test_real_change_points_agree_with_the_published_areas(shared_data):
    published = json.loads((shared_data / "isw" / "daily_areas.json").read_bytes())
    control = {
        r["date"]: r["areaKm2"] for r in published if r["layerType"] == "ukraine_control_map"
    }
    compared = 0
    for path in sorted((shared_data / "isw" / "change_points" / "control").glob("202[45]*")):
        found = read(path)["assessed_control"]
        assert area_km2(found.geometry) == pytest.approx(control[path.stem], rel=1e-3)
        compared += 1
    assert compared == 16
