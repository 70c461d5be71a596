"""The embedded sample's own files: a feature a layer, the file name is the assessed day."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import shapely

from helpers.errors import ParameterError, SnapshotError
from helpers.readers import geojson
from helpers.schema import LayerMap, check_maps, parse_day

_LAYERS = (
    "assessed_control",
    "assessed_advance",
    "claimed_control",
    "ukrainian_held",
    "regained",
)
_NONE = shapely.MultiPolygon()
_NEXT = "Make the sample again (frontline reconstruct) or restore the file."


def read(path: Path) -> list[LayerMap]:
    """Read one day.

    Parameters
    ----------
    path
        ``YYYY-MM-DD.geojson``.

    Returns
    -------
    list of LayerMap
        All five layers, without a day of publication. A layer that is not in the file is empty;
        ``assessed_control`` is always there.

    Raises
    ------
    SnapshotError
        If the name has no day of the calendar, the file is not a map, or a feature is of another
        day or an unknown layer.
    SchemaError
        If a layer comes twice or a geometry is not valid.
    """
    day = _day(path)
    features = geojson.load(path)
    if features.nulls:
        raise SnapshotError(f"{path}: {features.nulls} features have no geometry. {_NEXT}")
    for number, properties in enumerate(features.properties):
        fault = _fault(properties, day.isoformat())
        if fault:
            raise SnapshotError(f"{path}: feature {number} {fault}. {_NEXT}")
    found = [properties["layer"] for properties in features.properties]
    if "assessed_control" not in found:
        raise SnapshotError(f"{path}: the layer 'assessed_control' is not there. {_NEXT}")
    maps = [
        LayerMap(day, layer, ground) for layer, ground in zip(found, features.geometry, strict=True)
    ]
    maps += [LayerMap(day, layer, _NONE) for layer in _LAYERS if layer not in found]
    return check_maps(maps, str(path))


def _fault(properties: dict[str, Any], day: str) -> str:
    if set(properties) != {"layer", "day"}:
        return f"has the properties {sorted(properties)}, not day and layer"
    if properties["layer"] not in _LAYERS:
        return f"has the layer {properties['layer']!r}, which is none of {', '.join(_LAYERS)}"
    if properties["day"] != day:
        return f"is of the day {properties['day']!r}, but the file name says {day}"
    return ""


def _day(path: Path) -> date:
    try:
        if path.suffix == ".geojson":
            return parse_day(path.stem)
    except ParameterError:
        pass
    raise SnapshotError(
        f"{path}: the name gives no day. The sample's files are named YYYY-MM-DD.geojson."
    )
