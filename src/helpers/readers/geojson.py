"""Parsing shared by the readers: a GeoJSON file -> valid polygons, or an error that says why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import shapely
import simdjson
from shapely.geometry.base import BaseGeometry

from helpers.errors import SnapshotError

# Every map measured here touches this: Ukraine and what borders on it, degrees. With latitude
# before longitude, or in metres, none would.
_REGION = (21.0, 43.0, 42.0, 55.0)
_LFS = b"version https://git-lfs"
_NEXT = "Fetch the file again; the other days are not affected."


@dataclass(frozen=True)
class Features:
    """What a file holds.

    Attributes
    ----------
    geometry
        Array of shapely geometries, shape ``(n,)``, two-dimensional, in OGC:CRS84, not repaired.
    properties
        One mapping a geometry.
    nulls
        How many features had no geometry and were left out.
    """

    geometry: npt.NDArray[np.object_]
    properties: list[dict[str, Any]]
    nulls: int


def load(path: Path) -> Features:
    """Read a GeoJSON file.

    Parameters
    ----------
    path
        A FeatureCollection or a Feature.

    Returns
    -------
    Features
        Its geometries and properties.

    Raises
    ------
    SnapshotError
        With path, position and cause, if the file is empty, cut off, not JSON, not GeoJSON, or
        lies outside the region that the project measures.
    """
    data = path.read_bytes()
    found = _load_quickly(data) or _load_slowly(data, path)
    _check_place(found.geometry, path)
    return found


def _load_quickly(data: bytes) -> Features | None:
    """Parse a collection of polygons without making a Python object of every number.

    None for anything out of the ordinary, which is then read again in a way that says why: about
    ten times faster than `_load_slowly` on a publisher's map, and the same to the bit.
    """
    try:
        collection: Any = simdjson.Parser().parse(data)
        if collection["type"] != "FeatureCollection":
            return None
        rings: list[npt.NDArray[np.float64]] = []
        lengths, parts, wholes = [0], [0], [0]
        properties, nulls = [], 0
        for feature in collection["features"]:
            geometry = feature["geometry"]
            if geometry is None:
                nulls += 1
                continue
            polygons = geometry["coordinates"]
            if geometry["type"] == "Polygon":
                polygons = [polygons]
            elif geometry["type"] != "MultiPolygon":
                return None
            for polygon in polygons:
                for ring in polygon:
                    points = np.frombuffer(ring.as_buffer(of_type="d"))
                    rings.append(points.reshape(len(ring), -1)[:, :2].copy())
                    lengths.append(len(ring))
                parts.append(len(rings))
            wholes.append(len(parts) - 1)
            about = feature["properties"]
            properties.append({} if about is None else about.as_dict())
        if not rings:
            return None
        offsets = (np.cumsum(lengths), np.array(parts), np.array(wholes))
        shapes = shapely.from_ragged_array(
            shapely.GeometryType.MULTIPOLYGON, np.concatenate(rings), offsets
        )
        return Features(shapes, properties, nulls)
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.GEOSException):
        return None


def _load_slowly(data: bytes, path: Path) -> Features:
    features = _features(_parse(data, path), path)
    geometries, properties = [], []
    for number, feature in enumerate(features):
        if not isinstance(feature, dict) or "geometry" not in feature:
            raise SnapshotError(f"{path}: feature {number} is no GeoJSON feature. {_NEXT}")
        if feature["geometry"] is None:
            continue
        geometries.append(_geometry(feature["geometry"], f"{path}: feature {number}"))
        properties.append(feature.get("properties") or {})
    found = np.empty(len(geometries), dtype=object)
    found[:] = geometries
    return Features(found, properties, len(features) - len(geometries))


def _parse(data: bytes, path: Path) -> Any:
    if not data.strip():
        raise SnapshotError(f"{path}: the file is empty. {_NEXT}")
    if data.startswith(_LFS):
        raise SnapshotError(
            f"{path}: this is a Git LFS pointer, not the map. Fetch the file itself (git lfs pull)."
        )
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # The parser tells characters; a person looks the byte up.
        byte = len(error.doc[: error.pos].encode())
        cut = "" if data.rstrip().endswith((b"}", b"]")) else " The file seems cut off."
        raise SnapshotError(
            f"{path}: not JSON at byte {byte} of {len(data)}: {error.msg}.{cut} {_NEXT}"
        ) from None


def _features(content: Any, path: Path) -> list[Any]:
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "Feature":
        return [content]
    if kind == "FeatureCollection" and isinstance(content.get("features"), list):
        return list(content["features"])
    raise SnapshotError(
        f"{path}: JSON, but not GeoJSON: the top level is "
        f"{'type ' + repr(kind) if kind else type(content).__name__}, not a FeatureCollection. "
        "Check that the file belongs to this source."
    )


def _geometry(content: Any, where: str) -> BaseGeometry:
    try:
        geometry = shapely.force_2d(shapely.from_geojson(orjson.dumps(content)))
    except (shapely.errors.GEOSException, orjson.JSONEncodeError) as error:
        raise SnapshotError(f"{where} has no readable geometry: {error}. {_NEXT}") from None
    return geometry


def _check_place(geometry: npt.NDArray[np.object_], path: Path) -> None:
    drawn = geometry[~shapely.is_empty(geometry)]
    if not len(drawn):
        return
    west, south, east, north = shapely.total_bounds(drawn)
    if _meets_region(west, south, east, north):
        return
    cause = (
        "latitude seems to stand before longitude"
        if _meets_region(south, west, north, east)
        else "these are not longitudes and latitudes of this region"
    )
    raise SnapshotError(
        f"{path}: bounds {west:.3f}, {south:.3f}, {east:.3f}, {north:.3f}: {cause}. "
        "Check that the file belongs to this source."
    )


def _meets_region(west: float, south: float, east: float, north: float) -> bool:
    w, s, e, n = _REGION
    return west <= e and east >= w and south <= n and north >= s


def merge(geometry: npt.NDArray[np.object_]) -> BaseGeometry:
    """Make one valid (multi)polygon of polygons that may be invalid or overlap.

    Parameters
    ----------
    geometry
        Array of (multi)polygons in OGC:CRS84.

    Returns
    -------
    shapely geometry
        Their union, valid, polygons only; an empty MultiPolygon for none.

    Notes
    -----
    Repair is ``make_valid(method="structure", keep_collapsed=False)``: the default method turns
    doubled lobes into holes and is 65 km² off on two published days; ``buffer(0)`` drops the
    mainland of polygons that are written inside out.
    """
    bad = ~shapely.is_valid(geometry)
    if bad.any():
        geometry = geometry.copy()
        geometry[bad] = shapely.make_valid(geometry[bad], method="structure", keep_collapsed=False)
    # Publishers' files are one feature most days; a union would only move its vertices' order.
    whole = geometry[0] if len(geometry) == 1 else shapely.union_all(geometry)
    parts = shapely.get_parts(whole)
    parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    if len(parts) == 1:
        return parts[0]
    return shapely.multipolygons(parts)
