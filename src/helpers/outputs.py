"""What a notebook leaves behind beside its figures: tables as CSV, polygons as GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import shapely

from helpers.changes import SectorChange
from helpers.files import write_atomic

# A spreadsheet takes a text that starts with one of these for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

# 6 decimals of a degree are 0.1 m, far below any source's error.
_GRID_DEG = 1e-6


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # The csv module does not quote a lone carriage return, which readers take for the end of a row.
    plain = value.replace("\r\n", "\n").replace("\r", "\n")
    return "'" + plain if value.startswith(_FORMULA_STARTS) else plain


def table_text(frame: pd.DataFrame) -> str:
    """Write a table as CSV text: ISO days, km² to a square metre, missing values empty.

    Parameters
    ----------
    frame
        The table; the index is not written. Texts that a spreadsheet would run as a formula get a
        leading apostrophe.

    Returns
    -------
    str
        The CSV, with a header and Unix line ends.
    """
    safe = frame.apply(
        lambda column: column if pd.api.types.is_numeric_dtype(column) else column.map(_harmless)
    )
    return str(
        safe.to_csv(index=False, float_format="%.6f", date_format="%Y-%m-%d", lineterminator="\n")
    )


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table as a CSV file in UTF-8 (see `table_text`) and return its path."""
    write_atomic(path, table_text(frame).encode())
    return path


def write_polygons(change: SectorChange, path: Path) -> Path:
    """Write the gained and lost polygons of a sector as GeoJSON (RFC 7946).

    Parameters
    ----------
    change
        The measured change.
    path
        Where to; the folder is made.

    Returns
    -------
    pathlib.Path
        `path`. One feature a piece, with its kind, area and days; the collection carries
        attribution, licence and caveat.
    """
    shared = {
        "sector": change.sector.key,
        "tier": change.tier,
        "from": change.before_day.isoformat(),
        "to": change.after_day.isoformat(),
    }
    features = [
        {
            "type": "Feature",
            "properties": {"kind": piece.kind, "area_km2": round(piece.area_km2, 6), **shared},
            "geometry": _geometry(piece.geometry),
        }
        for piece in change.pieces.itertuples()
    ]
    collection = {
        "type": "FeatureCollection",
        "attribution": change.source.attribution,
        "licence": change.source.licence,
        "caveat": change.source.caveat,
        "features": features,
    }
    text = json.dumps(collection, ensure_ascii=False, separators=(",", ":"))
    write_atomic(path, (text + "\n").encode())
    return path


def _geometry(geometry: Any) -> Any:
    rounded = shapely.set_precision(geometry, _GRID_DEG)
    return json.loads(shapely.to_geojson(shapely.orient_polygons(rounded)))
