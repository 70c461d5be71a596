"""Any publisher's polygons, as a small mapping file describes them: a new source needs no code.

The mapping is ``source.toml`` in the source's folder below ``data/raw`` (docs/sources.md).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from helpers.errors import SnapshotError, SourceError
from helpers.projection import STORAGE_CRS
from helpers.readers import geojson, names
from helpers.schema import LAYERS, LayerMap, check_maps, tiers_of
from helpers.sources import Source

_TEXTS = ("publisher", "title", "attribution", "licence", "covers", "caveat")


@dataclass(frozen=True)
class Mapping:
    """How to read a publisher's files.

    Attributes
    ----------
    source
        The record made of the file.
    layer
        One of `LAYERS` for all features; empty where a column tells it.
    layer_column, layers
        Column that names the layer, and its values with what they stand for; "" leaves a value out.
    day_column
        Column with the day; empty where the file's name tells it.
    day_offset
        Days from that day to the assessed day; -1 where files are named after the morning after.
    gdal_layer
        Table in a file that holds several (GeoPackage).
    crs
        The files' CRS, where they do not tell it.
    """

    source: Source
    layer: str = ""
    layer_column: str = ""
    layers: dict[str, str] | None = None
    day_column: str = ""
    day_offset: int = 0
    gdal_layer: str = ""
    crs: str = ""


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Parameters
    ----------
    path
        ``data/raw/<id>/source.toml``; the folder's name is the id.

    Returns
    -------
    Mapping
        Checked.

    Raises
    ------
    SourceError
        Naming every fault at once.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceError(f"{path}: cannot be read: {error}.") from None
    reading, about = content.pop("read", {}), content.pop("source", {})
    faults = [f"unknown table or key {key!r}" for key in content]
    faults += _about_faults(about) + _reading_faults(reading)
    if faults:
        raise SourceError(f"{path}: " + "; ".join(faults) + ". See docs/sources.md.")
    drawn = tuple(dict.fromkeys(v for v in _drawn(reading) if v))
    source = Source(
        id=path.parent.name,
        date_rule=about.get("date_rule", _rule(reading)),
        pattern=about.get("pattern", "*"),
        layers=drawn,
        tiers=tiers_of(drawn, drawn),
        positional_error_m=float(about["positional_error_m"]),
        error_basis=about.get("error_basis", "stated in source.toml"),
        redistributable=about.get("redistributable", False),
        **{key: about[key] for key in _TEXTS},
    )
    return Mapping(source, **reading)


def _drawn(reading: dict[str, Any]) -> list[str]:
    return [reading["layer"]] if reading.get("layer") else list(reading["layers"].values())


def _rule(reading: dict[str, Any]) -> str:
    where = f"column {reading['day_column']}" if reading.get("day_column") else "file name"
    offset = reading.get("day_offset", 0)
    return f"The {where} gives the assessed day" + (f", moved by {offset} days." if offset else ".")


def _about_faults(about: dict[str, Any]) -> list[str]:
    known = {*_TEXTS, "date_rule", "pattern", "positional_error_m", "error_basis"}
    known |= {"redistributable"}
    faults = [
        f"[source] has no {key}" for key in (*_TEXTS, "positional_error_m") if key not in about
    ]
    faults += [f"[source] has the unknown key {key!r}" for key in about if key not in known]
    texts = known - {"positional_error_m", "redistributable"}
    faults += [
        f"[source] {key} must be text" for key in texts & set(about) if not _is_text(about[key])
    ]
    error = about.get("positional_error_m", 1)
    if isinstance(error, bool) or not isinstance(error, int | float) or not 0 < error < 1e5:
        faults.append("[source] positional_error_m must be metres above 0")
    if not isinstance(about.get("redistributable", False), bool):
        faults.append("[source] redistributable must be true or false")
    return sorted(faults)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _reading_faults(reading: dict[str, Any]) -> list[str]:
    kinds = {f.name: f.type for f in fields(Mapping) if f.name != "source"}
    faults = [f"[read] has the unknown key {key!r}" for key in reading if key not in kinds]
    for key, value in reading.items():
        if key == "layers":
            if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
                faults.append("[read] layers must be a table of texts")
        elif key == "day_offset":
            if isinstance(value, bool) or not isinstance(value, int):
                faults.append("[read] day_offset must be a whole number")
        elif key in kinds and not isinstance(value, str):
            faults.append(f"[read] {key} must be text")
    if faults:
        return faults
    by_column = bool(reading.get("layer_column")) and bool(reading.get("layers"))
    if by_column == bool(reading.get("layer")):
        return ["[read] needs either layer, or layer_column with layers"]
    alien = sorted({v for v in _drawn(reading) if v} - set(LAYERS))
    return [f"[read] names the unknown layer {v!r}; known: {', '.join(LAYERS)}" for v in alien]


def read(path: Path, mapping: Mapping) -> list[LayerMap]:
    """Read one file: GeoJSON, GeoPackage, GeoParquet, FlatGeobuf, shapefile, plain or zipped.

    Parameters
    ----------
    path
        The file.
    mapping
        How to read it.

    Returns
    -------
    list of LayerMap
        One a day and layer. Where the name tells the day, every layer of the mapping is there,
        empty ones included.

    Raises
    ------
    SnapshotError
        With path and cause: a column that is not there, a value without a layer, no day.
    """
    table = _table(path, mapping)
    geometry, columns = table
    empty = shapely.is_missing(geometry) | shapely.is_empty(geometry)
    layers = _layers(columns, len(geometry), mapping, path)
    days = _days(columns, len(geometry), mapping, path)
    kept = np.array([bool(layer) for layer in layers], dtype=bool) & ~empty
    wanted = dict.fromkeys(zip(days, layers, strict=True))
    if not mapping.day_column:
        named = days[0] if days else _named_day(path, mapping)
        wanted = dict.fromkeys((named, layer) for layer in mapping.source.layers)
    features = geojson.checked(
        shapely.force_2d(geometry[kept]), [], nulls=int(empty.sum()), path=path
    )
    where = [pair for pair, keep in zip(zip(days, layers, strict=True), kept, strict=True) if keep]
    maps = []
    for number, pair in enumerate(pair for pair in wanted if pair[1]):
        mine = np.array([other == pair for other in where], dtype=bool)
        nulls = 0 if number else features.nulls
        ground, repairs = geojson.repair(features.geometry[mine], nulls=nulls)
        maps.append(LayerMap(*pair, ground, repairs=repairs))
    return check_maps(maps, str(path), repaired=True)


def _table(
    path: Path, mapping: Mapping
) -> tuple[np.ndarray[Any, np.dtype[np.object_]], dict[str, list[Any]]]:
    import geopandas as gpd
    from pyogrio.errors import DataLayerError, DataSourceError

    options = {"layer": mapping.gdal_layer} if mapping.gdal_layer else {}
    try:
        if path.suffix == ".parquet":
            found = gpd.read_parquet(path)
        else:
            found = gpd.read_file(path, **options)
    except (DataSourceError, DataLayerError, ValueError, OSError) as error:
        raise SnapshotError(f"{path}: cannot be read: {error}.") from None
    if not isinstance(found, gpd.GeoDataFrame):
        raise SnapshotError(f"{path}: holds no geometry.")
    if mapping.crs:
        found = found.set_crs(mapping.crs, allow_override=True)
    if found.crs is None:
        raise SnapshotError(f"{path}: does not tell its CRS. Name it in source.toml, [read] crs.")
    found = found.to_crs(STORAGE_CRS)
    columns = {str(name): found[name].tolist() for name in found.columns.drop(found.geometry.name)}
    return found.geometry.to_numpy(), columns


def _layers(columns: dict[str, list[Any]], count: int, mapping: Mapping, path: Path) -> list[str]:
    if mapping.layer:
        return [mapping.layer] * count
    table = mapping.layers or {}
    values = [str(value) for value in _column(columns, mapping.layer_column, path)]
    alien = sorted(set(values) - set(table))
    if alien:
        raise SnapshotError(
            f"{path}: the column {mapping.layer_column} holds {', '.join(map(repr, alien[:5]))}, "
            'which source.toml does not map to a layer (map it to "" to leave it out).'
        )
    return [table[value] for value in values]


def _days(columns: dict[str, list[Any]], count: int, mapping: Mapping, path: Path) -> list[date]:
    if not mapping.day_column:
        return [_named_day(path, mapping)] * count
    values = _column(columns, mapping.day_column, path)
    days = [names.to_day(v.isoformat() if hasattr(v, "isoformat") else v) for v in values]
    found = [day for day in days if day is not None]
    if len(found) < len(days):
        at = days.index(None)
        raise SnapshotError(
            f"{path}: row {at}, column {mapping.day_column}: {values[at]!r} is not a day."
        )
    return [day + timedelta(days=mapping.day_offset) for day in found]


def _named_day(path: Path, mapping: Mapping) -> date:
    return names.day_of(path, "2025-01-08.geojson") + timedelta(days=mapping.day_offset)


def _column(columns: dict[str, list[Any]], name: str, path: Path) -> list[Any]:
    if name not in columns:
        raise SnapshotError(
            f"{path}: there is no column {name!r}; there are {', '.join(columns) or 'none'}."
        )
    return columns[name]
