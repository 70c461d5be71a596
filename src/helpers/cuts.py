"""Cutting ground to boxes and to polygons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

# Room round windows of change, so that no changed vertex lies on a window's edge: about 10 m.
MARGIN_DEG = 1e-4

FloatArray = npt.NDArray[np.float64]
Geometries = npt.NDArray[np.object_]
_NOWHERE = shapely.MultiPolygon()


def clip(ground: BaseGeometry, polygon: BaseGeometry) -> BaseGeometry:
    """Cut ground to a polygon: to its bounding box first, which is what makes it quick.

    Parameters
    ----------
    ground, polygon
        Valid (multi)polygons in OGC:CRS84.

    Returns
    -------
    shapely.MultiPolygon
        The part inside, in OGC:CRS84.
    """
    inside = to_boxes(ground, [polygon.bounds])[0]
    if not inside.is_empty and not _is_box(polygon):
        inside = shapely.intersection(inside, polygon)
    return shapely.multipolygons(polygons(inside))


def _is_box(polygon: BaseGeometry) -> bool:
    few = int(shapely.get_num_coordinates(polygon)) == 5
    return few and bool(shapely.equals(polygon, shapely.box(*polygon.bounds)))


def to_boxes(ground: BaseGeometry, boxes: Sequence[Sequence[float]] | FloatArray) -> Geometries:
    """Cut ground to boxes.

    Parameters
    ----------
    ground
        Valid (multi)polygon in OGC:CRS84.
    boxes
        West, south, east, north of each, degrees.

    Returns
    -------
    numpy.ndarray
        The part inside each box, valid; lines and points may be in it.
    """
    parts = np.array([_to_box(ground, box) for box in boxes], dtype=object)
    # On some rings the clip gives invalid polygons.
    for i in map(int, np.flatnonzero(~shapely.is_valid(parts))):
        parts[i] = shapely.intersection(ground, shapely.box(*boxes[i]))
    return parts


def _to_box(ground: BaseGeometry, box: Sequence[float]) -> BaseGeometry | None:
    # An order of magnitude quicker than an intersection, but on some rings GEOS gives up
    # ("Invalid number of points in LinearRing"). None is not valid, and so is done over.
    try:
        return shapely.clip_by_rect(ground, *box)
    except shapely.GEOSException:
        return None


def overlap(pieces: Geometries, ground: BaseGeometry) -> Geometries:
    """Intersect small pieces with a large ground: each with no more of it than lies around.

    Parameters
    ----------
    pieces
        Polygons in OGC:CRS84, shape ``(n,)``.
    ground
        Valid (multi)polygon in OGC:CRS84.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``; parts of no area, where the two only touch, may be in it.
    """
    shapely.prepare(ground)
    inside = np.where(shapely.contains_properly(ground, pieces), pieces, _NOWHERE)
    cut = np.flatnonzero(shapely.is_empty(inside) & shapely.intersects(ground, pieces))
    margin = MARGIN_DEG * np.array([-1, -1, 1, 1])
    near = to_boxes(ground, shapely.bounds(pieces[cut]) + margin)
    inside[cut] = shapely.intersection(pieces[cut], near)
    return inside


def polygons(geometry: Any) -> Geometries:
    """Take the polygons out of a geometry or an array of them; lines and points are dropped."""
    parts = shapely.get_parts(geometry)
    polygon = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    polygons: Geometries = parts[polygon & ~shapely.is_empty(parts)]
    return polygons


def difference(a: Any, b: Any) -> Geometries:
    """Take the polygons of the difference of two geometries, or of two arrays of them."""
    return polygons(shapely.difference(a, b))
