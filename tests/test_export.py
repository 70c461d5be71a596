from datetime import date

import duckdb
import geopandas as gpd
import pytest
import shapely
from click.testing import CliRunner

from helpers import export, sources
from helpers.cli import main
from helpers.errors import ParameterError
from helpers.projection import area_km2
from helpers.schema import Snapshot

DEEPSTATE = sources.get("deepstate")
BOX = shapely.box(37.0, 48.0, 37.2, 48.2)
TWO = shapely.MultiPolygon([BOX, shapely.box(38, 48, 38.1, 48.1)])


def maps():
    return [
        Snapshot("deepstate", date(2025, 1, day), {"assessed_control": ground}, ("control",))
        for day, ground in ((7, BOX), (8, TWO))
    ]


@pytest.mark.parametrize("suffix", [".parquet", ".gpkg", ".fgb", ".geojson"])
def test_plain_geopandas_opens_it(tmp_path, suffix):
    path = export.write(export.table(maps(), DEEPSTATE), tmp_path / "new" / f"maps{suffix}")
    found = gpd.read_parquet(path) if suffix == ".parquet" else gpd.read_file(path)
    found["day"] = found["day"].astype(str).str[:10]
    found = found.sort_values("day", ignore_index=True)
    assert found["day"].tolist() == ["2025-01-07", "2025-01-08"]
    assert found.crs.equals("OGC:CRS84") or found.crs.equals("EPSG:4326")
    assert found.geometry[1].equals(TWO)
    assert found["attribution"].tolist() == [DEEPSTATE.attribution] * 2
    assert list(tmp_path.glob("new/*")) == [path]


def test_duckdb_opens_the_geoparquet(tmp_path):
    path = export.write(export.table(maps(), DEEPSTATE), tmp_path / "maps.parquet")
    rows = duckdb.sql(
        f"select day, round(area_km2, 3), geometry from read_parquet('{path}') order by day"
    ).fetchall()
    assert [row[0] for row in rows] == ["2025-01-07", "2025-01-08"]
    assert rows[0][1] == pytest.approx(area_km2(BOX), abs=1e-3)
    assert shapely.from_wkb(bytes(rows[1][2])).equals(TWO)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"Name the file with \.parquet, \.gpkg"):
        export.write(export.table(maps(), DEEPSTATE), tmp_path / "maps.kml")


def test_the_command(tmp_path):
    words = ["export", "--source", "reconstruction", "--start", "2025-01-07"]
    out = tmp_path / "e.gpkg"
    done = CliRunner().invoke(main, [*words, "--end", "2025-01-08", "--out", str(out)])
    assert done.exit_code == 0, done.output
    found = gpd.read_file(out)
    assert sorted(set(found["day"].astype(str).str[:10])) == ["2025-01-07", "2025-01-08"]
    assert {"assessed_control", "ukrainian_held"} <= set(found["layer"])
    assert found.geometry.is_valid.all()
