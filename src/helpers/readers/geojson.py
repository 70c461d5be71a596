"""Parsing shared by the readers: a GeoJSON file -> valid polygons, or an error that says why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import shapely
import simdjson
from shapely.geometry.base import BaseGeometry

from helpers.errors import SnapshotError
from helpers.limits import limit
from helpers.projection import area_km2
from helpers.schema import THEATRE, Repairs

# Segments of which the crossings of a whole map are estimated, and how many others the box of an
# ordinary one meets: its neighbours, and a few.
_SAMPLE, _ORDINARY = 64, 10
# With fewer vertices, no map can cross itself too often.
_FEW = 500
# Maps that are remembered while others are read.
_KEPT = 8
_LFS = b"version https://git-lfs"
_NEXT = "Fetch the file again; the other days are not affected."


# What a file that is out of the ordinary raises; the parser's own limits are runtime errors.
_ODD = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    shapely.errors.GEOSException,
)


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


def load(path: Path, *, member: str = "") -> Features:
    """Read a GeoJSON file.

    Parameters
    ----------
    path
        A FeatureCollection or a Feature.
    member
        The member of the top level that holds it, where a publisher wraps it in one.

    Returns
    -------
    Features
        Its geometries and properties.

    Raises
    ------
    SnapshotError
        With path, position and cause, if the file is empty, cut off, not JSON, not GeoJSON, has a
        key twice in one object, lies outside the region that the project measures, or is more than
        `helpers.limits` allows.
    """
    data = read_bytes(path)
    found = _load_quickly(data, member) or _load_slowly(data, member, path)
    _check_place(found.geometry, path)
    _check_size(found.geometry, path)
    return found


def checked(
    geometry: npt.NDArray[np.object_],
    properties: list[dict[str, Any]],
    *,
    nulls: int,
    path: Path,
) -> Features:
    """Take features that another library has read, with the checks of `load`.

    Parameters
    ----------
    geometry, properties, nulls
        As in `Features`.
    path
        The file, for the message.

    Returns
    -------
    Features
        The same.

    Raises
    ------
    SnapshotError
        If coordinates are no numbers, lie outside the region that the project measures, or are
        more than `helpers.limits` allows.
    """
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise SnapshotError(f"{path}: has coordinates that are no numbers. {_NEXT}")
    _check_place(geometry, path)
    _check_size(geometry, path)
    return Features(geometry, properties, nulls)


def read_bytes(path: Path) -> bytes:
    """Read a raw file that is not absurdly large.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    SnapshotError
        If it cannot be read, or is larger than `helpers.limits` allows.
    """
    try:
        size = path.stat().st_size
        if size <= limit("FRONTLINE_MAX_FILE_MB") * 1_000_000:
            return path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error.strerror}.") from None
    raise SnapshotError(
        f"{path}: {size:,} bytes, more than FRONTLINE_MAX_FILE_MB "
        f"({limit('FRONTLINE_MAX_FILE_MB')}) allows. Check that the file belongs to this source; "
        "if it does, raise that environment variable."
    )


def _load_quickly(data: bytes, member: str) -> Features | None:
    """Parse a collection of polygons without making a Python object of every number.

    None for anything out of the ordinary, which is then read again in a way that says why: about
    ten times faster than `_load_slowly` on a publisher's map, and the same to the bit.
    """
    try:
        collection: Any = simdjson.Parser().parse(data)
        if member:
            collection = collection[member]
        _check_keys(list(collection.keys()))
        if collection["type"] != "FeatureCollection":
            return None
        rings: list[npt.NDArray[np.float64]] = []
        parts, wholes = [0], [0]
        properties, nulls = [], 0
        for feature in collection["features"]:
            _check_keys(list(feature.keys()))
            if feature["geometry"] is None:
                nulls += 1
                continue
            _check_keys(list(feature["geometry"].keys()))
            for polygon in _polygons(feature["geometry"]):
                rings += map(_ring, polygon)
                parts.append(len(rings))
            wholes.append(len(parts) - 1)
            about = feature["properties"]
            if about is not None:
                _check_keys(list(about.keys()))
            properties.append({} if about is None else about.as_dict())
        xy = np.concatenate(rings)
        lengths = np.cumsum([0, *map(len, rings)])
        shapes = _shapes(xy.tobytes(), lengths.tobytes(), tuple(parts), tuple(wholes))
        return None if shapes is None else Features(shapes.copy(), properties, nulls)
    except _ODD:
        return None


# A day without news has the map of the day before, or of some days before: its polygons are then
# the same objects, and are not looked at again.
@lru_cache(maxsize=_KEPT)
def _shapes(
    xy: bytes, lengths: bytes, parts: tuple[int, ...], wholes: tuple[int, ...]
) -> npt.NDArray[np.object_] | None:
    """Multipolygons of coordinates; None where one is no number."""
    points = np.frombuffer(xy).reshape(-1, 2)
    if not np.isfinite(points).all():
        return None
    offsets = np.frombuffer(lengths, dtype=np.int64), np.array(parts), np.array(wholes)
    shapes: npt.NDArray[np.object_] = shapely.from_ragged_array(
        shapely.GeometryType.MULTIPOLYGON, points, offsets
    )
    return shapes


class _DoubledKeyError(ValueError):
    """One key twice in one object: parsers differ in which they take (RFC 8259, section 4)."""


def _check_keys(names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise _DoubledKeyError(next(repr(name) for name in names if names.count(name) > 1))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_keys([name for name, _ in pairs])
    return dict(pairs)


def _polygons(geometry: Any) -> Any:
    kind = geometry["type"]
    if kind == "Polygon":
        return [geometry["coordinates"]]
    if kind == "MultiPolygon":
        return geometry["coordinates"]
    raise ValueError(kind)


def _ring(ring: Any) -> npt.NDArray[np.float64]:
    points = np.frombuffer(ring.as_buffer(of_type="d"))
    return points.reshape(len(ring), -1)[:, :2].copy()


def _load_slowly(data: bytes, member: str, path: Path) -> Features:
    content = parse(data, path)
    if member:
        content = content.get(member) if isinstance(content, dict) else None
    features = _features(content, path)
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


def parse(data: bytes, path: Path) -> Any:
    """Parse JSON.

    Parameters
    ----------
    data
        The content of the file.
    path
        The file, for the message.

    Returns
    -------
    Any
        What it holds.

    Raises
    ------
    SnapshotError
        With path, position and cause.
    """
    if not data.strip():
        raise SnapshotError(f"{path}: the file is empty. {_NEXT}")
    if data.startswith(_LFS):
        raise SnapshotError(
            f"{path}: this is a Git LFS pointer, not the map. Fetch the file itself (git lfs pull)."
        )
    try:
        # orjson says at which byte a file is broken, and has a limit of levels.
        orjson.loads(data)
        return json.loads(data, object_pairs_hook=_once)
    except _DoubledKeyError as error:
        raise SnapshotError(
            f"{path}: an object has the key {error} twice; which of them counts is not known. "
            "Ask the publisher which, and take the other out."
        ) from None
    except RecursionError:
        raise SnapshotError(
            f"{path}: nested too deeply. Check that the file belongs to this source."
        ) from None
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
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise SnapshotError(f"{where} has coordinates that are no numbers. {_NEXT}")
    return geometry


def _check_size(geometry: npt.NDArray[np.object_], path: Path) -> None:
    """Refuse what would take minutes and gigabytes to repair and to join."""
    vertices = int(shapely.get_num_coordinates(geometry).sum())
    _check_limit("FRONTLINE_MAX_VERTICES", vertices, "vertices", path)
    whole = len(geometry) == 1 and _valid(_Same(geometry)).all()
    if vertices > _FEW and not whole:
        _check_limit(
            "FRONTLINE_MAX_CROSSINGS", _crossings(geometry), "crossing lines, by estimate", path
        )


def _check_limit(name: str, found: int, what: str, path: Path) -> None:
    if found > limit(name):
        raise SnapshotError(
            f"{path}: has {found:,} {what}; {name} allows {limit(name):,}. Check that the file "
            "belongs to this source; if it does, raise that environment variable."
        )


def _crossings(geometry: npt.NDArray[np.object_]) -> int:
    """Estimate how often lines cross, from above: by how many boxes of others a segment's meets."""
    xy, ring = shapely.get_coordinates(
        shapely.get_rings(shapely.get_parts(geometry)), return_index=True
    )
    joined = ring[1:] == ring[:-1]
    low = np.minimum(xy[1:], xy[:-1])[joined]
    high = np.maximum(xy[1:], xy[:-1])[joined]
    some = np.random.default_rng(0).integers(0, len(low), _SAMPLE)
    meets = np.ones((_SAMPLE, len(low)), dtype=bool)
    for west, east in zip(low.T, high.T, strict=True):
        meets &= (west <= east[some, None]) & (east >= west[some, None])
    each = meets.sum() / _SAMPLE - _ORDINARY
    return int(max(0.0, each) * len(low) / 2)


def _check_place(geometry: npt.NDArray[np.object_], path: Path) -> None:
    bounds = shapely.bounds(geometry)
    bounds = bounds[~np.isnan(bounds[:, 0])]  # without empty ones
    if not len(bounds):
        return
    west, south = bounds[:, :2].min(axis=0).tolist()
    east, north = bounds[:, 2:].max(axis=0).tolist()
    on_earth = west >= -180 and south >= -90 and east <= 180 and north <= 90
    if on_earth and _meets_region(west, south, east, north):
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
    w, s, e, n = THEATRE
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
    return repair(geometry)[0]


def repair(geometry: npt.NDArray[np.object_], *, nulls: int = 0) -> tuple[BaseGeometry, Repairs]:
    """Do what `merge` does, and tell what it took.

    Parameters
    ----------
    geometry
        Array of (multi)polygons in OGC:CRS84.
    nulls
        Features that had no geometry, to be recorded.

    Returns
    -------
    tuple
        The union, and the repairs.
    """
    whole, found = _repair(_Same(geometry))
    return whole, found._replace(nulls=nulls)


class _Same:
    """Geometries that are the same if they are the same objects: quicker than to compare them."""

    def __init__(self, geometry: npt.NDArray[np.object_]) -> None:
        self.geometry = geometry

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.geometry)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and [*map(id, self.geometry)] == [*map(id, other.geometry)]


@lru_cache(maxsize=_KEPT)
def _valid(same: _Same) -> npt.NDArray[np.bool_]:
    return np.asarray(shapely.is_valid(same.geometry))


@lru_cache(maxsize=_KEPT)
def _repair(same: _Same) -> tuple[BaseGeometry, Repairs]:
    geometry = same.geometry
    bad = ~_valid(same)
    invalid_km2 = 0.0
    if bad.any():
        geometry = geometry.copy()
        before = float(np.sum(area_km2(geometry[bad])))
        geometry[bad] = shapely.make_valid(geometry[bad], method="structure", keep_collapsed=False)
        invalid_km2 = float(np.sum(area_km2(geometry[bad]))) - before
    # Features that do not meet need no union, which is dear and moves the order of vertices.
    apart = len(geometry) < 2 or (not bad.any() and _apart(geometry))
    parts = shapely.get_parts(geometry if apart else shapely.union_all(geometry))
    parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    whole = parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
    doubled = 0.0 if apart else float(np.sum(area_km2(geometry))) - area_km2(whole)
    # Less than a square metre is rounding.
    return whole, Repairs(0, int(bad.sum()), invalid_km2, doubled if doubled > 1e-6 else 0.0)


def _apart(geometry: npt.NDArray[np.object_]) -> bool:
    pairs = shapely.STRtree(geometry).query(geometry, predicate="intersects")
    return bool((pairs[0] == pairs[1]).all())
