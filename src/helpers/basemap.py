"""What lies under a map: the packaged vector base, tiles from a server, or a GeoTIFF.

The packaged base needs no network and is the default; figures that are committed, compared or made
in CI are always drawn on it. Tiles come through contextily, within a time budget, warped onto the
sector's own grid. Where they cannot be had, the packaged base stands in and the figure says so.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from helpers.errors import FrontlineError, ParameterError, unknown
from helpers.style import COLOURS

if TYPE_CHECKING:
    from helpers.reference import Sector

Image = npt.NDArray[np.uint8]
# A picture, and its left, right, lower and upper edge in Web Mercator.
Fetched = tuple[Image, tuple[float, float, float, float]]

# Needs no key, and says what it wants: a name in the request, no bulk, visible credit.
DEFAULT_PROVIDER = "OpenStreetMap.Mapnik"
_USER_AGENT = "frontline-notebooks (maps of one sector at a time)"
_POSSIBLE = (
    "'offline' (the packaged base), 'auto', a provider such as 'OpenStreetMap.Mapnik', a tile URL "
    "with {z}, {x} and {y}, or the path of a GeoTIFF (.tif)"
)

# Setting either keeps "auto" off the network.
_OFFLINE_VARIABLES = ("CI", "FRONTLINE_OFFLINE")

# Ground resolution of Web Mercator tiles of 256 pixels at zoom 0 on the equator, metres a pixel.
_ZOOM_0_M = 2 * math.pi * 6_378_137 / 256
_MAX_ZOOM = 19

# Pictures are greyed and lightened so that the news stays on top: how much of each is left.
_COLOUR_LEFT = 0.25
_DARKNESS_LEFT = 0.55

# What a failure means to a reader, by the class of the exception.
_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "ConnectionError": "server not reachable",
        "ConnectTimeout": "server not reachable",
        "ReadTimeout": "server too slow",
        "TimeoutError": "server too slow",
        "HTTPError": "server refused",
        "ChunkedEncodingError": "connection broke off",
        "RasterioIOError": "file not readable",
        "OSError": "picture broken",
    }
)


class BasemapError(FrontlineError):
    """The basemap that was asked for strictly cannot be had."""


@dataclass(frozen=True, eq=False)
class Basemap:
    """Ground under a map.

    Attributes
    ----------
    mode
        "offline" (nothing but the packaged layers), "tiles" or "raster".
    image
        RGB picture on the sector's own frame, shape ``(height, width, 3)``, row 0 in the north, or
        None.
    attribution
        Credit to be drawn with the picture.
    note
        Sentence for the figure's foot where something else is drawn than was asked for.
    """

    mode: str
    image: Image | None = None
    attribution: str = ""
    note: str = ""


OFFLINE = Basemap("offline")


@dataclass(frozen=True)
class Options:
    """How tiles are fetched.

    Attributes
    ----------
    strict
        Raise instead of falling back to the packaged base.
    cache_dir
        Where tiles are kept; without it they are not. Nothing in it may be shared: it has pickles.
    budget_s
        Seconds after which the work is given up.
    timeout_s
        Seconds to wait for a connection, and for an answer.
    max_tiles
        A larger frame is drawn at a lower zoom.
    width_px
        Width of the picture in pixels.
    """

    strict: bool = False
    cache_dir: Path | None = None
    budget_s: float = 25.0
    timeout_s: tuple[float, float] = (3.05, 6.0)
    max_tiles: int = 80
    width_px: int = 1200


DEFAULTS = Options()


def resolve(frame: Sector, mode: str = "offline", options: Options = DEFAULTS) -> Basemap:
    """Get what lies under a sector's map.

    Parameters
    ----------
    frame
        The sector whose frame is to be filled.
    mode
        "offline"; "auto" (tiles, but offline in CI or where FRONTLINE_OFFLINE is set); the name of
        a provider in xyzservices; a tile URL; the path of a GeoTIFF.
    options
        How tiles are fetched.

    Returns
    -------
    Basemap
        `OFFLINE`, a picture, or the packaged base with a note if the picture could not be had,
        which is also warned of.

    Raises
    ------
    ParameterError
        If there is no such basemap, or it needs a key; before any request.
    BasemapError
        If it could not be had and `options.strict` is set.
    """
    if mode == "offline" or (mode == "auto" and any(map(os.environ.get, _OFFLINE_VARIABLES))):
        return OFFLINE
    get = _getter(frame, DEFAULT_PROVIDER if mode == "auto" else mode, options)
    try:
        return get()
    except (OSError, ValueError) as failure:
        reason = _REASONS.get(type(failure).__name__, "answer not usable")
        name = DEFAULT_PROVIDER if mode == "auto" else _short(mode)
        if options.strict:
            raise BasemapError(
                f"Basemap {name} not available ({reason}): {failure}. Check the address and the "
                "network, or use basemap 'offline'."
            ) from failure
        note = f"Basemap {name} not available ({reason}); offline base drawn instead."
        warnings.warn(note, stacklevel=2)
        return Basemap("offline", note=note)


def _short(mode: str) -> str:
    if "://" in mode:
        return f"from {urlsplit(mode).hostname}"
    return Path(mode).name if mode.lower().endswith((".tif", ".tiff")) else mode


def _getter(frame: Sector, mode: str, options: Options) -> Callable[[], Basemap]:
    """What fetches this basemap; nothing has been asked of any server yet."""
    if mode.lower().endswith((".tif", ".tiff")):
        return lambda: _raster(frame, Path(mode), options)
    if mode.startswith(("http://", "https://")):
        if not all(part in mode for part in ("{z}", "{x}", "{y}")):
            raise ParameterError(
                f"The tile URL {mode!r} lacks a placeholder. It needs {{z}}, {{x}} and {{y}}."
            )
        credit = f"Basemap: {urlsplit(mode).hostname}."
        return lambda: _tiles(frame, mode, credit, options)
    provider = _provider(mode)
    credit = f"Basemap: {provider.get('attribution', mode)}."
    return lambda: _tiles(frame, provider, credit, options)


def _provider(name: str) -> Any:
    from xyzservices import providers  # not needed offline

    known = {key.lower(): provider for key, provider in providers.flatten().items()}
    if name.lower() not in known:
        free = [p.name for p in known.values() if not p.requires_token()]
        error = unknown("basemap", name, free)
        raise ParameterError(f"{str(error).split(' Known:')[0]} Possible: {_POSSIBLE}.")
    provider = known[name.lower()]
    if provider.requires_token():
        raise ParameterError(
            f"Basemap {name!r} needs a key, which this project has not. Possible: {_POSSIBLE}."
        )
    return provider


# Tiles --------------------------------------------------------------------------------------


def _tiles(frame: Sector, source: Any, credit: str, options: Options) -> Basemap:
    bounds = frame.polygon.bounds
    top = int(source.get("max_zoom", _MAX_ZOOM)) if isinstance(source, Mapping) else _MAX_ZOOM
    zoom = tile_zoom(bounds, options, top)
    picture, extent = _within(options.budget_s, lambda: _fetch(source, bounds, zoom, options))
    if picture.std(axis=(0, 1)).max() < 1.0:
        raise ValueError("the tiles are one flat colour, as where a server turns callers away")
    left, right, bottom, upper = extent
    image, _ = _warp(picture, "EPSG:3857", (left, bottom, right, upper), frame, options)
    return Basemap("tiles", _quiet(image), credit)


def tile_zoom(
    bounds: tuple[float, float, float, float], options: Options, max_zoom: int = _MAX_ZOOM
) -> int:
    """Zoom at which tiles are as fine as the picture, or the highest that keeps within the limit.

    Parameters
    ----------
    bounds
        West, south, east, north in degrees.
    options
        Width of the picture and the number of tiles allowed.
    max_zoom
        Highest zoom that the source has.

    Returns
    -------
    int
        From 0 to `max_zoom`.
    """
    west, south, east, north = bounds
    middle = math.cos(math.radians((south + north) / 2))
    wanted_m = math.radians(east - west) * 6_378_137 * middle / options.width_px
    zoom = math.ceil(math.log2(_ZOOM_0_M * middle / wanted_m))
    zoom = min(max(zoom, 0), max_zoom)
    while zoom and _tile_count(bounds, zoom) > options.max_tiles:
        zoom -= 1
    return zoom


def _tile_count(bounds: tuple[float, float, float, float], zoom: int) -> int:
    west, south, east, north = bounds

    def row(lat: float) -> int:
        return int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom)

    def column(lon: float) -> int:
        return int((lon + 180) / 360 * 2**zoom)

    return (column(east) - column(west) + 1) * (row(south) - row(north) + 1)


def _fetch(
    source: Any, bounds: tuple[float, float, float, float], zoom: int, options: Options
) -> Fetched:
    # Importing contextily takes seconds, most of them for rasterio.
    import contextily

    if options.cache_dir:
        # Before the first request: set later, the next process would throw the tiles away.
        contextily.set_cache_dir(str(options.cache_dir))
    picture, extent = contextily.bounds2img(
        *bounds,
        zoom=zoom,
        source=source,
        ll=True,
        headers={"user-agent": _USER_AGENT},
        wait=1,
        max_retries=1,
        # With a cache contextily starts processes for more than one connection, which cost more.
        n_connections=1 if options.cache_dir else 2,
        use_cache=options.cache_dir is not None,
        timeout=options.timeout_s,
    )
    return picture[..., :3], extent


def _within(seconds: float, work: Callable[[], Fetched]) -> Fetched:
    """Do some work in a thread that is left behind when the time is up."""
    done: list[Fetched] = []
    failed: list[OSError | ValueError] = []

    def run() -> None:
        try:
            done.append(work())
        except (OSError, ValueError) as failure:
            failed.append(failure)

    # A daemon, and no executor: those are waited for at the end of the process.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"not done within {seconds:g} s")
    return done[0]


# Pictures -----------------------------------------------------------------------------------


def _raster(frame: Sector, path: Path, options: Options) -> Basemap:
    import rasterio

    with rasterio.open(path) as data:
        bands = data.read([1, 2, 3] if data.count >= 3 else [1, 1, 1])
        picture = np.moveaxis(bands.astype(np.uint8), 0, -1)
        credit = data.tags().get("TIFFTAG_COPYRIGHT", f"file {path.name}")
        image, covered = _warp(picture, data.crs, tuple(data.bounds), frame, options)
    if not covered.any():
        raise ValueError(f"{path} does not cover the sector {frame.name}")
    image = _quiet(image)
    land = [int(COLOURS["land"][i : i + 2], 16) for i in (1, 3, 5)]
    image[~covered] = land
    return Basemap("raster", image, f"Basemap: {credit}.")


def _warp(
    picture: Image,
    crs: Any,
    bounds: tuple[float, float, float, float],
    frame: Sector,
    options: Options,
) -> tuple[Image, npt.NDArray[np.bool_]]:
    """Put a picture onto the frame's grid; return it with the pixels that it covers.

    contextily's own way to draw a picture in another projection stretches one that is smaller than
    the axes, and blackens its edges.
    """
    from rasterio import Affine
    from rasterio.warp import Resampling, reproject

    x0, y0, x1, y1 = frame.bounds_m
    shape = (round(options.width_px * (y1 - y0) / (x1 - x0)), options.width_px)
    rows, columns = picture.shape[:2]
    layers = np.moveaxis(np.dstack([picture, np.full((rows, columns), 255, np.uint8)]), -1, 0)
    warped = np.zeros((4, *shape), np.uint8)

    def grid(edges: tuple[float, float, float, float], width: int, height: int) -> Any:
        left, low, right, high = edges
        return Affine((right - left) / width, 0, left, 0, (low - high) / height, high)

    reproject(
        np.ascontiguousarray(layers),
        warped,
        src_transform=grid(bounds, columns, rows),
        src_crs=crs,
        dst_transform=grid((x0, y0, x1, y1), shape[1], shape[0]),
        dst_crs=frame.crs,
        resampling=Resampling.bilinear,
    )
    return np.ascontiguousarray(np.moveaxis(warped[:3], 0, -1)), warped[3] > 0


def _quiet(image: Image) -> Image:
    """Grey and lighten a picture."""
    colour = image.astype(np.float32)
    # Luma of ITU-R BT.601.
    grey = (colour @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    muted = grey + _COLOUR_LEFT * (colour - grey)
    quiet: Image = np.rint(255 - _DARKNESS_LEFT * (255 - muted)).clip(0, 255).astype(np.uint8)
    return quiet
