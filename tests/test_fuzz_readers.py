"""Real and made files, damaged in many ways: a valid map, a quarantine or a clear error each."""

import json
import os
import random
import warnings
from datetime import date
from pathlib import Path

import pytest

from helpers import gate
from helpers.errors import FrontlineError
from helpers.readers import deepstate, isw, liveuamap, reconstruction

SAMPLE = Path(__file__).parents[1] / "data" / "raw" / "reconstruction"
ROUNDS = 2_400


def truncate(data, rng):
    return data[: rng.randrange(len(data))]


def flip(data, rng):
    out = bytearray(data)
    for _ in range(rng.randint(1, 20)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def splice(data, rng):
    at, end = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:at] + data[end:]


def repeat(data, rng):
    at, end = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:end] + data[at:]


def nest(data, rng):
    depth = rng.choice([10, 1_000, 10_000])
    return b'{"a":' * depth + data + b"}" * depth


def _edit(change):
    def edited(data, rng):
        content = json.loads(data)
        change(content, rng)
        return json.dumps(content).encode()

    edited.__name__ = change.__name__
    return edited


def _features(content):
    return content.get("value", content)["features"]


@_edit
def drop_a_field(content, rng):
    feature = rng.choice(_features(content))
    feature.pop(rng.choice(list(feature)))


@_edit
def empty_a_property(content, rng):
    about = rng.choice(_features(content))["properties"]
    if about:
        about[rng.choice(list(about))] = rng.choice([None, "", 10**30, "9999-99-99", [], {"a": 1}])


@_edit
def lose_the_geometry(content, rng):
    rng.choice(_features(content))["geometry"] = rng.choice(
        [None, {}, [], {"type": "Point", "coordinates": [37, 48]}, {"type": "Polygon"}]
    )


def _points(coordinates):
    return coordinates if isinstance(coordinates[0][0], int | float) else _points(coordinates[0])


@_edit
def swap_coordinates(content, rng):
    def swapped(value):
        return value[1::-1] if isinstance(value[0], int | float) else [swapped(v) for v in value]

    for feature in _features(content):
        if feature["geometry"]:
            feature["geometry"]["coordinates"] = swapped(feature["geometry"]["coordinates"])


@_edit
def break_a_point(content, rng):
    drawn = [f for f in _features(content) if f["geometry"] and f["geometry"]["coordinates"]]
    if drawn:
        points = _points(rng.choice(drawn)["geometry"]["coordinates"])
        points[rng.randrange(len(points))] = rng.choice(
            [[], [37], [1e308, 1e308], [None, 48], ["37", "48"], [180.0, 90.0], [37, 48, 1, 2]]
        )


@_edit
def no_numbers(content, rng):
    drawn = [f for f in _features(content) if f["geometry"] and f["geometry"]["coordinates"]]
    if drawn:
        _points(rng.choice(drawn)["geometry"]["coordinates"])[0] = [float("nan"), float("inf")]


@_edit
def shuffle(content, rng):
    rng.shuffle(_features(content))


@_edit
def many_times(content, rng):
    _features(content).extend(_features(content) * rng.randint(1, 5))


MUTATIONS = [
    truncate, flip, splice, repeat, nest, drop_a_field, empty_a_property, lose_the_geometry,
    swap_coordinates, break_a_point, no_numbers, shuffle, many_times,
]  # fmt: skip


def small(shared):
    """Files of every source, small enough to be damaged thousands of times."""
    files = [(reconstruction.read, p) for p in sorted(SAMPLE.glob("*.geojson"))[::60]]
    if shared:
        files += [(deepstate.read, p) for p in sorted((shared / "deepstate").glob("*"))[::70]]
        points = sorted((shared / "isw" / "change_points").rglob("*.geojson"))
        files += [(isw.read, p) for p in points[::8]]
        layers = sorted((shared / "isw" / "layers").glob("*[!n]/202209*"))
        files += [(isw.read, p) for p in layers if p.stat().st_size < 200_000][::9]
        files += [(liveuamap.read, shared / "liveuamap" / "2025-01-08.json")]
    return files


def outcome(read, path, day):
    """ "map", "quarantined" or "error"; anything else is a fault of ours."""
    try:
        maps = read(path)
    except FrontlineError as error:
        assert str(path) in str(error)
        return "error"
    layers = {}
    for found in maps:
        kept, strays = gate.clean(found.geometry, found.layer)
        assert found.geometry.is_valid
        assert kept.geom_type in ("Polygon", "MultiPolygon")
        layers[found.layer] = gate.Layer(1.0, "x", strays=strays)
        assert found.day == day, f"{path}: read as {found.day}, not {day}"
    (verdict,) = gate.judge([gate.Day(maps[0].day, layers)], today=date(2026, 1, 1))
    return "quarantined" if verdict.status == gate.QUARANTINED else "map"


@pytest.mark.slow
def test_damaged_files_end_in_a_map_a_quarantine_or_an_error(tmp_path):
    shared = os.environ.get("FRONTLINE_SHARED_DATA")
    files = small(Path(shared) if shared else None)
    contents = {path: path.read_bytes() for _, path in files}
    days = {}
    for read, path in files:
        try:
            days[path] = read(path)[0].day
        except FrontlineError:
            contents.pop(path)  # torn already
    files = [(read, path) for read, path in files if path in contents]
    rng = random.Random(20250108)
    seen = {"map": 0, "quarantined": 0, "error": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # GEOS on overflowing coordinates
        for number in range(ROUNDS):
            read, source = files[number % len(files)]
            mutate = MUTATIONS[number // len(files) % len(MUTATIONS)]
            path = tmp_path / source.name
            path.write_bytes(mutate(contents[source], rng))
            seen[outcome(read, path, days[source])] += 1
    assert sum(seen.values()) == ROUNDS
    assert seen["error"] > ROUNDS / 4
    assert seen["map"] > ROUNDS / 20
