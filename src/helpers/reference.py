"""Borders, oblasts, settlements and sectors that ship, and an analyst's own sectors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers.errors import ParameterError, unknown
from helpers.projection import STORAGE_CRS, local_crs, transform
from helpers.schema import check_tier

_BASE = Path(__file__).parent / "base"

# Between these the edge of a frame, straight on the ground, leaves its chord by centimetres.
_EDGE_STEP_M = 500.0
# Wider than Ukraine; beyond it a map on one local projection is no longer fit to read.
_WIDEST_KM = 2000.0


@dataclass(frozen=True)
class Sector:
    """A part of the ground that is mapped and measured: the frame of its map.

    Attributes
    ----------
    key, name
        Id ("kurakhove"), and how titles call it.
    lon, lat
        Centre of the frame, degrees.
    width_km, height_km
        Size of the frame on the ground.
    measure
        The tier that is measured there (`helpers.schema.TIERS`).
    note
        What a reader should know of it.
    outline
        Polygon in OGC:CRS84 if only a part of the frame is measured, else None.
    """

    key: str
    name: str
    lon: float
    lat: float
    width_km: float
    height_km: float
    measure: str
    note: str = ""
    outline: BaseGeometry | None = field(default=None, compare=False)

    @property
    def crs(self) -> str:
        """PROJ string of the equal-area projection centred on the sector, in metres."""
        return local_crs(self.lon, self.lat)

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """The frame in that projection: x0, y0, x1, y1 in metres."""
        x, y = self.width_km * 500, self.height_km * 500
        return -x, -y, x, y

    @cached_property
    def polygon(self) -> BaseGeometry:
        """The ground that is measured, a polygon in OGC:CRS84, edges densified."""
        if self.outline is not None:
            return self.outline
        frame = shapely.segmentize(shapely.box(*self.bounds_m), _EDGE_STEP_M)
        return transform(frame, STORAGE_CRS, source=self.crs)


def sectors(extra: Path | None = None) -> dict[str, Sector]:
    """List the sectors that ship, and an analyst's own.

    Parameters
    ----------
    extra
        A GeoJSON file; need not exist. Each feature is a point (centre of a frame, properties
        width_km and height_km) or a polygon (measured as drawn), with properties key, name,
        measure, and optionally note. A key that ships is replaced.

    Returns
    -------
    dict
        Key to sector, those that ship first.

    Raises
    ------
    ParameterError
        If `extra` cannot be read, naming the file, the feature and the fault.
    """
    found = _read_sectors(_BASE / "sectors.geojson")
    if extra is not None and extra.exists():
        found = found | _read_sectors(extra)
    return found


def _read_sectors(path: Path) -> dict[str, Sector]:
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"{path} is not a GeoJSON collection of sectors: {error!r}.") from None
    found = {}
    for number, feature in enumerate(features):
        try:
            sector = _sector_of(feature["properties"], feature["geometry"])
        except (KeyError, TypeError, ValueError, shapely.errors.GEOSException) as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ParameterError(
                f"{path}, feature {number}: {what}. A sector has key, name, measure, and either a "
                "point with width_km and height_km or a polygon (docs/sectors.md)."
            ) from None
        if sector.key in found:
            raise ParameterError(
                f"{path}, feature {number}: the key {sector.key!r} is given twice."
            )
        found[sector.key] = sector
    return found


def _sector_of(properties: dict[str, Any], geometry: dict[str, Any]) -> Sector:
    words = {name: str(properties[name]) for name in ("key", "name", "measure")}
    words["note"] = str(properties.get("note") or "")
    check_tier(words["measure"])
    if not words["key"].replace("-", "").isalnum() or not words["key"].isascii():
        raise ValueError(f"the key {words['key']!r} may have letters, digits and hyphens only")
    shape = shapely.from_geojson(json.dumps(geometry))
    west, south, east, north = shape.bounds
    if not (-180 <= west <= east <= 180 and -85 <= south <= north <= 85):
        raise ValueError("its coordinates are not longitude and latitude in degrees")
    if shape.geom_type == "Point":
        width, height = float(properties["width_km"]), float(properties["height_km"])
        # Written so that NaN fails too.
        if not (0 < width <= _WIDEST_KM and 0 < height <= _WIDEST_KM):
            raise ValueError(f"width_km and height_km must be between 0 and {_WIDEST_KM:g}")
        return Sector(lon=shape.x, lat=shape.y, width_km=width, height_km=height, **words)
    if shape.geom_type not in ("Polygon", "MultiPolygon") or not shape.is_valid:
        raise ValueError("the geometry is neither a point nor a valid polygon")
    return _around(shape, outline=shape, **words)


def _around(shape: BaseGeometry, *, outline: BaseGeometry | None, **words: str) -> Sector:
    """The sector whose frame is the rectangle on the ground round a shape."""
    west, south, east, north = shape.bounds
    lon, lat = round((west + east) / 2, 5), round((south + north) / 2, 5)
    dense = shapely.segmentize(shape, 0.005)
    half = np.abs(shapely.get_coordinates(transform(dense, local_crs(lon, lat)))).max(axis=0)
    width, height = (round(2 * float(h) / 1000 + 0.005, 2) for h in half)
    return Sector(lon=lon, lat=lat, width_km=width, height_km=height, outline=outline, **words)


def sector(key: str, extra: Path | None = None) -> Sector:
    """Look a sector up, or make one of a box.

    Parameters
    ----------
    key
        A sector's key, the id of an oblast (such as ``"UKR-327"``, see `oblasts`), or
        ``"west,south,east,north"`` in degrees. The box is measured as a frame on the ground round
        it; box and oblast in the tier `presence`.
    extra
        See `sectors`.

    Returns
    -------
    Sector
        The sector.

    Raises
    ------
    ParameterError
        Listing the known ones, or saying what is wrong with the box.
    """
    if "," in key:
        return _box(key)
    known = sectors(extra)
    if key in known:
        return known[key]
    regions = {region.key: region for region in oblast_sectors()}
    if key not in regions:
        raise unknown("sector", key, known)
    return regions[key]


@cache
def oblast_sectors() -> tuple[Sector, ...]:
    """The oblasts of Ukraine, Crimea and the two cities, as sectors of their own outline."""
    table = oblasts().query("country == 'UA'")
    return tuple(
        _around(shape, outline=shape, key=key, name=name, measure="presence")
        for key, name, shape in zip(table["id"], table["name"], table.geometry, strict=True)
    )


def _box(text: str) -> Sector:
    try:
        west, south, east, north = (float(part) for part in text.split(","))
        possible = -180 <= west < east <= 180 and -85 <= south < north <= 85
    except ValueError:
        possible = False
    if not possible:
        raise ParameterError(
            f"{text!r} is not a box. Write west,south,east,north in degrees, such as "
            "37.0,47.9,37.4,48.1."
        )
    key = "box-" + "-".join(f"{abs(round(v * 1000))}" for v in (west, south, east, north))
    name = f"{west:g} to {east:g}° E, {south:g} to {north:g}° N"
    shape = shapely.box(west, south, east, north)
    return _around(shape, outline=None, key=key, name=name, measure="presence")


@cache
def _layer(name: str) -> gpd.GeoDataFrame:
    return gpd.read_file(_BASE / f"{name}.geojson").set_crs(STORAGE_CRS, allow_override=True)


@cache
def border() -> BaseGeometry:
    """State border of Ukraine and Russia, lines in OGC:CRS84 (OpenStreetMap, about 100 m)."""
    return _layer("border").geometry.iloc[0]


@cache
def ukraine() -> BaseGeometry:
    """Outline of Ukraine, Crimea included, (multi)polygon in OGC:CRS84 (OpenStreetMap)."""
    return _layer("ukraine").geometry.iloc[0]


@cache
def outer_edges() -> BaseGeometry:
    """State border and coast: ground that ends there has no line of contact. Lines, OGC:CRS84."""
    return shapely.union_all([border(), ukraine().boundary])


def countries() -> gpd.GeoDataFrame:
    """Countries around Ukraine, without it: name, geometry in OGC:CRS84.

    Natural Earth 1:10m, simplified to about 1 km and fitted to `ukraine`, for locators and land.
    """
    return _layer("countries").copy()


def oblasts() -> gpd.GeoDataFrame:
    """Oblasts of Ukraine, and the Russian ones on its border.

    Returns
    -------
    geopandas.GeoDataFrame
        id, name, name_uk, country ("UA" or "RU"), geometry in OGC:CRS84: Natural Earth 1:10m, lines
        between oblasts good to about 1 km; the outer edges are those of `ukraine` and `border`.
        Land only: Kherson Oblast, whose official area counts lagoons and estuaries, is 12 % smaller
        than that.
    """
    return _layer("oblasts").copy()


@cache
def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(_BASE / f"{name}.csv", keep_default_na=False, na_values={"population": [""]})


def settlements() -> pd.DataFrame:
    """Settlements of the gazetteer (GeoNames, curated).

    Returns
    -------
    pandas.DataFrame
        id, name, name_uk, lon, lat (degrees), population (0 where unknown), country, rank (1 city
        to 4 village), sector_hint, quality (of the coordinates: A checked, B about 1 km, C about
        2 km).
    """
    table = _table("places")
    return table.assign(population=table["population"].fillna(0).astype(int))


def place_names() -> pd.DataFrame:
    """Names of the settlements by language: id, name, lang (uk, ru, en, old)."""
    return _table("place_names").copy()


def base_sources() -> pd.DataFrame:
    """Where the layers come from, a row for each file and package it was built from.

    Returns
    -------
    pandas.DataFrame
        file, package, version, registry, licence (of the data), attribution, sha256 (of the file),
        note.
    """
    return _table("SOURCES").copy()


def attributions() -> tuple[str, ...]:
    """Credits of the layers that a map is drawn from, for its source line."""
    credit = _table("SOURCES")["attribution"]
    return tuple(sorted(set(credit[credit != ""])))
