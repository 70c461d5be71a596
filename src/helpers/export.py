"""Snapshots of a span of days as one file for QGIS, DuckDB or R."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd
import shapely

from helpers.errors import ParameterError, WorkspaceError
from helpers.files import write_atomic
from helpers.projection import STORAGE_CRS, area_km2
from helpers.schema import Snapshot
from helpers.sources import Source

# Suffix: GDAL's driver; GeoParquet is written by geopandas itself.
_DRIVERS = {".gpkg": "GPKG", ".fgb": "FlatGeobuf", ".geojson": "GeoJSON"}


def table(snapshots: Sequence[Snapshot], source: Source) -> gpd.GeoDataFrame:
    """Lay snapshots out, a row a day and layer.

    Parameters
    ----------
    snapshots
        Of one source.
    source
        Its record: the credit and licence go with every row.

    Returns
    -------
    geopandas.GeoDataFrame
        day, published, retrieved (ISO texts, empty where not told), layer, area_km2, source,
        attribution, licence, geometry (MultiPolygon); CRS OGC:CRS84.
    """
    rows = [
        {
            "day": snapshot.day.isoformat(),
            "published": snapshot.published.isoformat() if snapshot.published else "",
            "retrieved": snapshot.retrieved.isoformat() if snapshot.retrieved else "",
            "layer": layer,
            "geometry": shapely.multipolygons(shapely.get_parts(ground)),
        }
        for snapshot in snapshots
        for layer, ground in sorted(snapshot.layers.items())
        if not ground.is_empty
    ]
    columns = ["day", "published", "retrieved", "layer", "geometry"]
    found = gpd.GeoDataFrame(pd.DataFrame(rows, columns=columns), crs=STORAGE_CRS)
    found.insert(4, "area_km2", area_km2(found.geometry.to_numpy()))
    return found.assign(source=source.id, attribution=source.attribution, licence=source.licence)


def write(found: gpd.GeoDataFrame, path: Path) -> Path:
    """Write a table in the format that the file's name asks for.

    Parameters
    ----------
    found
        From `table`.
    path
        Ending in .parquet, .gpkg, .fgb or .geojson.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    ParameterError
        If the format is not known.
    WorkspaceError
        If the folder cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix != ".parquet" and suffix not in _DRIVERS:
        known = ", ".join([".parquet", *_DRIVERS])
        raise ParameterError(f"{path}: unknown format {suffix!r}. Name the file with {known}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / path.name
            if suffix == ".parquet":
                found.to_parquet(made, compression="zstd", index=False)
            else:
                found.to_file(made, driver=_DRIVERS[suffix])
            write_atomic(path, made.read_bytes())
    except OSError as error:
        raise WorkspaceError(f"Cannot write {path}: {error.strerror or error}.") from None
    return path
