"""Where publishers serve their maps, and on what terms: data, since addresses move."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, dataclass, fields
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from helpers.errors import FetchError, unknown
from helpers.workspace import Workspace

_SHIPPED = Path(__file__).with_suffix("")
OWN_FILE = "endpoints.toml"
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()  # noqa: SIM905
KINDS = ("files", "history", "arcgis-live", "arcgis-days")


@dataclass(frozen=True)
class Layer:
    """A layer of an ArcGIS service.

    Attributes
    ----------
    layer
        Name that it has in our file names.
    like
        Pieces of the names by which the publisher calls it, without case and signs.
    url
        Where it was last; empty where only the index tells.
    """

    layer: str
    like: tuple[str, ...]
    url: str = ""


@dataclass(frozen=True)
class WebMap:
    """A web map that lists the layers of some days: its address, first and last day."""

    url: str
    since: date
    until: date


@dataclass(frozen=True)
class Way:
    """One way in which a publisher serves its maps.

    Attributes
    ----------
    name
        Its key in the file.
    kind
        One of `KINDS`.
    file
        Where an answer goes, below ``data/raw/<source>``; may hold ``{yyyymmdd}``,
        ``{yyyy-mm-dd}``, ``{ddMONyyyy}``, ``{layer}`` and ``{id}``.
    url
        Address of a day (or of an ``{id}``), with the same names in it.
    index
        Address of a list: of the updates, or a web map that lists the layers.
    holds
        List that an answer must hold, such as ``features``; only for JSON.
    timezone
        In which the publisher's days begin.
    first
        First day there is, where it is known.
    layers
        For ArcGIS services.
    maps
        Web maps that list the layers of some days; where there are none, the layers' own addresses
        have all days.
    """

    name: str
    kind: str
    file: str
    url: str = ""
    index: str = ""
    holds: str = ""
    timezone: str = "UTC"
    first: date | None = None
    layers: tuple[Layer, ...] = ()
    maps: tuple[WebMap, ...] = ()


@dataclass(frozen=True)
class Endpoints:
    """All that is known of where a source is served.

    Attributes
    ----------
    source
        Its id.
    hosts
        Hosts that may be asked; a redirect to another is refused.
    terms, terms_url
        What the publisher allows, and where it says so; whom to credit stands in the source's
        record (`helpers.sources`).
    ways
        The first is the default.
    checked
        ISO day on which a person last saw the addresses answer; empty for never.
    note
        Where the addresses come from.
    look
        Where a person finds the publisher's map when an address has moved.
    pause_s, max_bytes
        See `helpers.web.Policy`.
    """

    source: str
    hosts: tuple[str, ...]
    terms: str
    terms_url: str
    ways: tuple[Way, ...]
    checked: str = ""
    note: str = ""
    look: str = ""
    pause_s: float = 2.0
    max_bytes: int = 64 * 1024 * 1024

    def way(self, name: str = "") -> Way:
        """Look a way up; the empty name takes the first.

        Raises
        ------
        ParameterError
            Listing the ways there are.
        """
        ways = {way.name: way for way in self.ways}
        if name and name not in ways:
            raise unknown("way", name, ways)
        return ways[name] if name else self.ways[0]


def known(ws: Workspace) -> list[str]:
    """Ids of the sources that can be fetched, sorted."""
    own = {path.parent.name for path in ws.raw.glob(f"*/{OWN_FILE}")}
    return sorted({path.stem for path in _SHIPPED.glob("*.toml")} | own)


def load(ws: Workspace, source_id: str) -> Endpoints:
    """Read where a source is served.

    Parameters
    ----------
    ws
        The workspace. Its ``data/raw/<source>/endpoints.toml``, where there is one, stands in place
        of the shipped file: for a source of one's own, or an address that has moved.
    source_id
        The source.

    Returns
    -------
    Endpoints
        Checked.

    Raises
    ------
    ParameterError
        Listing the sources that can be fetched.
    FetchError
        With every fault of the file.
    """
    if source_id not in known(ws):
        raise unknown("source to fetch", source_id, known(ws))
    own = ws.raw / source_id / OWN_FILE
    path = own if own.is_file() else _SHIPPED / f"{source_id}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FetchError(f"{path}: cannot be read: {error}.") from None
    tables = {key: content.pop(key) for key in list(content) if isinstance(content[key], dict)}
    faults = [] if tables else ["there is no way: a table with kind, url and file"]
    faults += _faults(Endpoints, content, "", given={"source", "ways"})
    for name, table in tables.items():
        faults += _way_faults(name, table)
    if faults:
        raise FetchError(f"{path}: " + "; ".join(faults) + ". See docs/daily.md.")
    ways = tuple(_way(name, table) for name, table in tables.items())
    return Endpoints(source=source_id, ways=ways, **content | {"hosts": tuple(content["hosts"])})


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "float": (int, float),
    "int": (int,),
    "date": (date,),
    "date | None": (date,),
}


def _faults(kind: type, table: dict[str, Any], where: str, given: set[str]) -> list[str]:
    """What is wrong with the keys and types of a table that a dataclass is made of."""
    members = {f.name: f for f in fields(kind) if f.name not in given}
    found = [f"{where}unknown key {key!r}" for key in table if key not in members]
    for key, member in members.items():
        if key not in table:
            if member.default is MISSING:
                found.append(f"{where}no {key}")
            continue
        types = _TYPES.get(str(member.type), (list,))
        if not isinstance(table[key], types) or isinstance(table[key], bool):
            found.append(f"{where}{key} must be {types[-1].__name__}")
    return found


def _way_faults(name: str, table: dict[str, Any]) -> list[str]:
    where = f"[{name}] "
    found = _faults(Way, table, where, given={"name"})
    if found:
        return found
    if table["kind"] not in KINDS:
        found.append(f"{where}kind must be one of {', '.join(KINDS)}")
    needed = {"files": ["url"], "history": ["url", "index"]}
    absent = [key for key in needed.get(table["kind"], ["layers"]) if not table.get(key)]
    found += [f"{where}no {key}" for key in absent]
    path = PurePosixPath(table["file"])
    if path.is_absolute() or ".." in path.parts or "\\" in table["file"] or not path.suffix:
        found.append(f"{where}file must be a name below the source's folder, with an ending")
    for layer in table.get("layers", []):
        found += _faults(Layer, layer, f"{where}layers: ", given=set())
    for one in table.get("maps", []):
        found += _faults(WebMap, one, f"{where}maps: ", given=set())
    try:
        ZoneInfo(table.get("timezone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        found.append(f"{where}unknown timezone {table['timezone']!r}")
    return found


def _way(name: str, table: dict[str, Any]) -> Way:
    layers = tuple(
        Layer(about["layer"], tuple(about["like"]), about.get("url", ""))
        for about in table.pop("layers", [])
    )
    maps = tuple(WebMap(**about) for about in table.pop("maps", []))
    return Way(name, layers=layers, maps=maps, **table)


def fill(template: str, day: date, **names: str) -> str:
    """Put a day and names into an address or a file name.

    Parameters
    ----------
    template
        With ``{yyyymmdd}``, ``{yyyy-mm-dd}``, ``{ddMONyyyy}`` or the names in braces.
    day
        The day.
    **names
        Such as ``layer``.

    Returns
    -------
    str
        The address. Other braces stay as they are.
    """
    forms = {
        "yyyymmdd": f"{day:%Y%m%d}",
        "yyyy-mm-dd": day.isoformat(),
        "ddMONyyyy": f"{day:%d}{_MONTHS[day.month - 1]}{day.year}",
    }
    for key, value in (forms | names).items():
        template = template.replace("{" + key + "}", value)
    return template
