import math

import numpy as np
import pytest
import shapely
from pyproj import Geod

from grounds import KURAKHOVE, TORETSK, marked, real_map
from helpers import projection
from helpers.projection import STORAGE_CRS, area_km2, length_km, local_crs, transform

GEOD = Geod(ellps="WGS84")
# The edges of a densified polygon are so short that a geodesic is as straight as can be.
STEP_DEG = 0.002
PPM = 1e-6


def geodesic_km2(geometry):
    area, _ = GEOD.geometry_area_perimeter(
        shapely.orient_polygons(shapely.segmentize(geometry, STEP_DEG))
    )
    return area / 1e6


@pytest.mark.parametrize(
    "geometry",
    [
        shapely.box(37.55, 48.25, 38.05, 48.60),
        shapely.box(34.0, 50.5, 36.0, 52.0),
        shapely.box(-10.0, -5.0, 10.0, 5.0),
        shapely.Polygon([(36.0, 47.0), (38.0, 47.3), (37.1, 48.9)]),
        TORETSK.polygon,
        KURAKHOVE.polygon,
    ],
)
def test_area_is_that_of_a_densified_geodesic_polygon(geometry):
    assert area_km2(geometry) == pytest.approx(geodesic_km2(geometry), rel=0.1 * PPM)


@marked
@pytest.mark.parametrize("sector", [None, TORETSK, KURAKHOVE])
def test_area_of_a_real_map_is_that_of_a_densified_geodesic_polygon(sector):
    ground = real_map("20240708").tier("presence")
    if sector is not None:
        ground = shapely.intersection(ground, sector.polygon)
    assert area_km2(ground) == pytest.approx(geodesic_km2(ground), rel=0.1 * PPM)


@marked
def test_area_of_a_real_map_is_the_one_measured_before():
    assert area_km2(real_map("20240708").tier("presence")) == pytest.approx(109_360.87, rel=1e-5)


def test_a_zone_around_the_earth_is_an_exact_part_of_the_ellipsoid():
    zones = [shapely.box(-180, south, 180, south + 30) for south in range(-90, 90, 30)]
    # Surface of the WGS 84 ellipsoid, km²: 4 pi times the square of the authalic radius.
    assert sum(area_km2(zone) for zone in zones) == pytest.approx(
        4 * math.pi * 6371.0071809**2, rel=1e-9
    )
    assert area_km2(zones[0]) == pytest.approx(area_km2(zones[-1]), rel=1e-12)


def test_a_frame_has_the_area_of_its_sides():
    assert area_km2(TORETSK.polygon) == pytest.approx(30 * 23.4, rel=1e-6)


def test_holes_count_as_holes_and_ring_direction_does_not_matter():
    outer, inner = shapely.box(0, 0, 3, 3), shapely.box(1, 1, 2, 2)
    ring = shapely.Polygon(outer.exterior, [inner.exterior])
    backward = shapely.Polygon(outer.exterior.coords[::-1], [inner.exterior.coords])
    expected = area_km2(outer) - area_km2(inner)
    assert area_km2(ring) == pytest.approx(expected, rel=1e-12)
    assert area_km2(backward) == pytest.approx(expected, rel=1e-12)


def test_areas_of_an_array_are_those_of_its_geometries():
    one, two = shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 7)
    line = shapely.LineString([(0, 0), (1, 1)])
    mixed = shapely.GeometryCollection([line, one])
    items = np.array(
        [one, None, shapely.MultiPolygon([one, two]), shapely.Polygon(), mixed, line], dtype=object
    )
    a, b = area_km2(one), area_km2(two)
    assert area_km2(items) == pytest.approx([a, 0, a + b, 0, a, 0])
    assert area_km2(np.empty(0, dtype=object)).shape == (0,)
    assert area_km2(None) == 0


@pytest.mark.parametrize("block", range(1, 12))
def test_area_does_not_depend_on_the_blocks_it_is_taken_in(block, monkeypatch):
    holed = shapely.box(0, 0, 10, 10).difference(shapely.box(2, 3, 5, 7))
    items = np.array([holed, shapely.box(5, 5, 6, 7)], dtype=object)
    whole = area_km2(items)
    monkeypatch.setattr(projection, "_BLOCK", block)
    assert area_km2(items) == pytest.approx(whole, rel=1e-14)


def test_length_is_geodesic():
    line = shapely.LineString([(37.0, 48.0), (37.5, 48.2), (38.0, 48.0)])
    assert length_km(line) == pytest.approx(GEOD.geometry_length(line) / 1000, rel=1e-12)
    # A quarter of a meridian, and a degree of the equator, of WGS 84.
    assert length_km(shapely.LineString([(0, 0), (0, 90)])) == pytest.approx(10_001.965_729)
    assert length_km(shapely.LineString([(0, 0), (1, 0)])) == pytest.approx(
        6378.137 * math.pi / 180
    )


def test_length_adds_up_rings_lines_and_collections():
    square = shapely.box(0, 0, 1, 1)
    assert length_km(square) == pytest.approx(length_km(square.exterior))
    two = shapely.MultiLineString([[(0, 0), (1, 0)], [(3, 3), (3, 4)]])
    parts = [length_km(part) for part in two.geoms]
    assert length_km(two) == pytest.approx(sum(parts))
    assert length_km(np.array([two, square])) == pytest.approx(sum(parts) + length_km(square))
    assert length_km(shapely.LineString()) == 0


def test_transform_to_local_metres_and_back():
    crs = local_crs(37.845, 48.385)
    assert transform(shapely.Point(37.845, 48.385), crs).coords[0] == pytest.approx((0, 0))
    there = transform(TORETSK.polygon, crs)
    assert there.bounds == pytest.approx((-15_000, -11_700, 15_000, 11_700), abs=0.01)
    assert there.area / 1e6 == pytest.approx(area_km2(TORETSK.polygon), rel=1e-6)
    back = transform(there, STORAGE_CRS, source=crs)
    assert shapely.hausdorff_distance(back, TORETSK.polygon) < 1e-8  # a millimetre
    east = transform(np.array([shapely.Point(37.9, 48.385)]), crs)
    assert east[0].x > 0


def test_a_polygon_that_crosses_itself_after_projecting_is_repaired():
    # The long edge along the parallel is a chord on the plane, and passes on the hole's other side.
    shell = [(30, 49), (40, 49), (40, 50), (30, 50)]
    hole = [(34.9, 49.5), (35.1, 49.5), (35, 49.01)]
    ground = shapely.Polygon(shell, [hole])
    other = shapely.box(36, 47, 37, 48)
    assert ground.is_valid
    crs = projection.local_crs(35, 20)
    plain = shapely.transform(
        ground, projection._transformer("OGC:CRS84", crs).transform, interleaved=False
    )
    assert not plain.is_valid
    moved = projection.transform(ground, crs)
    assert moved.is_valid
    both = projection.transform(np.array([ground, other]), crs)
    assert shapely.is_valid(both).all()
    assert both[1].equals(projection.transform(other, crs))
