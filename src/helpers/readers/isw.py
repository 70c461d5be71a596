"""ISW's and Critical Threats' map, in the forms in which it is published and archived.

- a file a day and layer, named by both: ``20220901_RussianAssessedCoTinUkraine.geojson``, or a
  zipped shapefile such as ``UkraineControlMapAO08JAN2025.zip``;
- a file a day with all layers, each feature naming its own;
- pages of an ArcGIS service, as GeoJSON or as ArcGIS's own JSON: ``<name>.page-1.json``, …;
- change points, ``2025-01-08.geojson``, with the layer and the day in the properties.

Control, advance and claims are disjoint. ISW dates its map by the day whose situation it shows.
"""

from __future__ import annotations

import re
import stat
import zipfile
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import shapely

from helpers.errors import SnapshotError
from helpers.limits import limit
from helpers.projection import STORAGE_CRS
from helpers.readers import geojson, names
from helpers.schema import LayerMap, check_maps

_EXAMPLE = "20220901_RussianAssessedCoTinUkraine.geojson or UkraineControlMapAO08JAN2025.zip"
_PART = "assessed_advance_or_claimed"
# Names of services, shapefiles, archives and change points, without case, signs and numbers.
_ALIASES = (
    (r"russiacotinukraine|russianassessedcotinukraine|ukraine_?controlmap", "assessed_control"),
    (r"ukraine_control_map|assessedrussiancontrol|ロシア軍支配エリア", "assessed_control"),
    (r"assessedrussianadvance|russianassessedadvance|russian_?advances", "assessed_advance"),
    # Advance and claims in one, until 19 May 2023.
    (r"ロシア軍侵攻エリア", _PART),
    (r"assessedrussianinfiltr|russian_?infiltration", "assessed_infiltration"),
    (r"claimedrussianterrit|russianclaimedcot|claimed_?russian_?control", "claimed_control"),
    (r"russian_?claimed", "claimed_control"),
    (r"ukrainianclaimedcounte|claimedukrainiancounte", "claimed_counteroffensive"),
    (r"ukrainian_?counteroffensive|ウクライナ軍反撃エリア", "claimed_counteroffensive"),
    (r"ukrainianreportedpartisan|reportedukrainianpartisan", "reported_partisan_warfare"),
    (r"partisan_?warfare", "reported_partisan_warfare"),
    (r"russian_?controlled_?ukrainian_?territ", "pre_invasion_control"),
)
# Asked first: what Russia took back in Kursk is called an advance too.
_KURSK = (r"kursk_?russian_?advances", "regained")
_PATTERNS = tuple((re.compile(form, re.IGNORECASE), layer) for form, layer in (_KURSK, *_ALIASES))
# Properties with the day that a feature shows; ChangeDate and EndDate tell how long it was valid.
_DAY_KEYS = ("date", "datetime")


def read(path: Path) -> list[LayerMap]:
    """Read one file.

    Parameters
    ----------
    path
        In one of the forms above. Of a service's pages the first is named, and all are read.

    Returns
    -------
    list of LayerMap
        One a layer in the file. A file without features says that its layer has no ground; for
        ``assessed_control`` that is an error.

    Raises
    ------
    SnapshotError
        With path and cause: no day in the name, another day in the properties, an unknown layer,
        pages that are not all there, a file that cannot be read.
    """
    day = names.day_of(path, _EXAMPLE)
    named = layer_of(names.without_day(path.name.split(".")[0]))
    features = _load(path)
    _check_day(features, day, path)
    if named:
        layers = [named] * len(features.properties)
    else:
        layers = [_own_layer(about, path) for about in features.properties]
        if not layers:
            raise SnapshotError(f"{path}: no feature, and no layer in the name. Like {_EXAMPLE}.")
    found = np.array(layers, dtype=object)
    maps = []
    for number, layer in enumerate(dict.fromkeys([named] if named else layers)):
        # Features without a geometry have no layer of their own; they are told of with the first.
        nulls = 0 if number else features.nulls
        ground, repairs = geojson.repair(features.geometry[found == layer], nulls=nulls)
        if ground.is_empty and layer == "assessed_control":
            raise SnapshotError(f"{path}: the layer assessed_control is empty. Fetch it again.")
        maps.append(LayerMap(day, layer, ground, day, None, repairs))
    return check_maps(maps, str(path), repaired=True)


def layer_of(name: str) -> str | None:
    """Layer that a published name stands for.

    Parameters
    ----------
    name
        A service's, a shapefile's or an archive's name of a layer, or one of ours.

    Returns
    -------
    str or None
        One of `helpers.schema.LAYERS`, or None where it is not known.
    """
    plain = re.sub(r"[\s-]+", "", name)
    return next((layer for form, layer in _PATTERNS if form.search(plain)), None)


def _own_layer(properties: dict[str, Any], path: Path) -> str:
    texts = [value for value in properties.values() if isinstance(value, str)]
    known = {layer for text in texts if (layer := layer_of(text))}
    if len(known) == 1:
        return known.pop()
    told = ", ".join(map(repr, texts)) or "nothing"
    raise SnapshotError(
        f"{path}: a feature does not tell one known layer; its properties say {told}. "
        "If ISW has a new layer, it needs a name in readers/isw.py."
    )


def _check_day(features: geojson.Features, day: date, path: Path) -> None:
    for about in features.properties:
        for key, value in about.items():
            said = names.to_day(value) if key.lower() in _DAY_KEYS else None
            if said is not None and said != day:
                raise SnapshotError(
                    f"{path}: the name says {day}, but the property {key} says {said}. "
                    "Find out which is right, and rename the file if it is the property."
                )


def _load(path: Path) -> geojson.Features:
    if path.suffix == ".zip":
        return _load_with_gdal(path, f"/vsizip/{path}/{_shapefile(path)}")
    pages = names.pages(path)
    loaded = [_load_page(page, last=page == pages[-1]) for page in pages]
    return geojson.Features(
        np.concatenate([features.geometry for features in loaded]),
        [about for features in loaded for about in features.properties],
        sum(features.nulls for features in loaded),
    )


def _load_page(page: Path, *, last: bool) -> geojson.Features:
    data = geojson.read_bytes(page)
    if last and re.search(rb'"exceededTransferLimit"\s*:\s*true', data):
        raise SnapshotError(
            f"{page}: the service had more features than it sent, and the page that follows is not "
            "here. Fetch the day again."
        )
    if b'"rings"' in data or b"esriGeometry" in data:
        geojson.parse(data, page)  # says at which byte it is broken; GDAL does not
        return _load_with_gdal(page, f"ESRIJSON:{page}")
    return geojson.load(page)


def _shapefile(path: Path) -> str:
    """Name of the one shapefile in an archive that is safe to open."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise SnapshotError(f"{path}: not a zip archive: {error}. Fetch it again.") from None
    for entry in entries:
        inside = PurePosixPath(entry.filename)
        if inside.is_absolute() or ".." in inside.parts or "\\" in entry.filename:
            raise SnapshotError(f"{path}: the entry {entry.filename!r} leaves the archive.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise SnapshotError(f"{path}: the entry {entry.filename!r} is a link.")
    size = sum(entry.file_size for entry in entries)
    if size > limit("FRONTLINE_MAX_UNPACKED_MB") * 1_000_000:
        raise SnapshotError(
            f"{path}: unpacks to {size:,} bytes, more than FRONTLINE_MAX_UNPACKED_MB "
            f"({limit('FRONTLINE_MAX_UNPACKED_MB')}) allows."
        )
    found = [entry.filename for entry in entries if entry.filename.lower().endswith(".shp")]
    if len(found) != 1:
        raise SnapshotError(f"{path}: holds {len(found)} shapefiles, not one. Unpack and zip each.")
    return found[0]


def _load_with_gdal(path: Path, address: str) -> geojson.Features:
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        table = pyogrio.read_dataframe(address)
    except (DataSourceError, DataLayerError, ValueError) as error:
        raise SnapshotError(f"{path}: cannot be read: {error}. Fetch it again.") from None
    if table.crs is None:
        raise SnapshotError(f"{path}: no coordinate reference system (no .prj). Fetch it again.")
    table = table.to_crs(STORAGE_CRS)
    drawn = table[~(table.geometry.isna() | table.geometry.is_empty)]
    return geojson.checked(
        shapely.force_2d(drawn.geometry.to_numpy()),
        drawn.drop(columns=drawn.geometry.name).to_dict("records"),
        nulls=len(table) - len(drawn),
        path=path,
    )
