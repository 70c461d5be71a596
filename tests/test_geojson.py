import json

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import SnapshotError
from helpers.readers import geojson

SQUARE = [[[37.0, 48.0], [37.1, 48.0], [37.1, 48.1], [37.0, 48.1], [37.0, 48.0]]]
BOW_TIE = [[[37.0, 48.0], [37.1, 48.1], [37.1, 48.0], [37.0, 48.1], [37.0, 48.0]]]


def collection(*coordinates):
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"n": n},
                "geometry": None if c is None else {"type": "Polygon", "coordinates": c},
            }
            for n, c in enumerate(coordinates)
        ],
    }


def write(tmp_path, content):
    path = tmp_path / "map.geojson"
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(data)
    return path


def test_nulls_are_counted_and_heights_dropped(tmp_path):
    high = [[[*xy, 0.0] for xy in SQUARE[0]]]
    found = geojson.load(write(tmp_path, collection(high, None, SQUARE)))
    assert found.nulls == 1
    assert [p["n"] for p in found.properties] == [0, 2]
    assert not shapely.has_z(found.geometry).any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"  \n", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b'{"type": "FeatureColl', r"not JSON at byte \d+ of 21: .* cut off"),
        (b'{"type": nonsense, "features": []}', r"not JSON at byte 9 of 34"),
        ("Ф".encode() + b"{}", "not JSON at byte 0 of 4"),
        ([1, 2], "not GeoJSON: the top level is list"),
        ({"type": "Topology"}, "the top level is type 'Topology'"),
        ({"type": "FeatureCollection", "features": [7]}, "feature 0 is no GeoJSON feature"),
        (collection([[["a", 1]]]), "feature 0 has no readable geometry"),
        (collection([[[48.0, 37.0], [48.1, 37.0], [48.1, 37.1], [48.0, 37.0]]]), "latitude seems"),
        (
            collection([[[4e6, 6e6], [4e6, 6.1e6], [4.1e6, 6e6], [4e6, 6e6]]]),
            "not longitudes and latitudes",
        ),
    ],
)
def test_what_is_not_a_map_says_why_and_where(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(SnapshotError, match=message) as caught:
        geojson.load(path)
    assert str(path) in str(caught.value)


def test_a_bow_tie_is_repaired_and_doubled_features_count_once(tmp_path):
    found = geojson.load(write(tmp_path, collection(BOW_TIE))).geometry
    assert geojson.merge(found).is_valid
    doubled = geojson.load(write(tmp_path, collection(SQUARE, SQUARE))).geometry
    assert geojson.merge(doubled).equals(shapely.Polygon(SQUARE[0]))


def test_merging_nothing_is_empty(tmp_path):
    assert geojson.merge(geojson.load(write(tmp_path, collection())).geometry).is_empty


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_a_map_or_a_clear_error(tmp_path_factory, data):
    whole = json.dumps(collection(SQUARE, None, BOW_TIE)).encode()
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    position = data.draw(st.integers(0, max(0, len(cut) - 1)))
    flipped = bytearray(cut)
    if flipped:
        flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("damaged") / "map.geojson"
    path.write_bytes(bytes(flipped))
    try:
        ground = geojson.merge(geojson.load(path).geometry)
    except SnapshotError as error:
        assert str(path) in str(error)
    else:
        assert ground.is_valid


@pytest.mark.parametrize(
    "content",
    [
        collection(SQUARE),
        collection([[[*xy, 7.5] for xy in SQUARE[0]]], None, BOW_TIE),
        collection(SQUARE, [[[x + 1, y] for x, y in SQUARE[0]], [[x, y] for x, y in SQUARE[0]]]),
    ],
)
def test_the_quick_way_reads_the_same_to_the_bit(tmp_path, content):
    path = write(tmp_path, content)
    quick = geojson._load_quickly(path.read_bytes(), "")
    slow = geojson._load_slowly(path.read_bytes(), "", path)
    assert quick is not None
    assert (quick.nulls, quick.properties) == (slow.nulls, slow.properties)
    for a, b in zip(quick.geometry, slow.geometry, strict=True):
        assert [shapely.to_wkb(p) for p in shapely.get_parts(a)] == [shapely.to_wkb(b)]


@pytest.mark.real
@pytest.mark.parametrize("folder", ["deepstate", "isw/layers", "isw/change_points"])
def test_the_quick_way_reads_real_files_the_same(shared_data, folder):
    paths = sorted((shared_data / folder).rglob("*.geojson"))
    read = 0
    for path in paths[:: max(1, len(paths) // 25)]:
        quick = geojson._load_quickly(path.read_bytes(), "")
        if quick is not None:
            slow = geojson._load_slowly(path.read_bytes(), "", path)
            assert quick.properties == slow.properties
            one, other = geojson.merge(quick.geometry), geojson.merge(slow.geometry)
            assert shapely.to_wkb(one.normalize()) == shapely.to_wkb(other.normalize())
            read += 1
    assert read > 0.8 * len(paths[:: max(1, len(paths) // 25)])
