"""Basemaps: what is asked for, what is got, and what the figure says where it is not."""

import io
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image, ImageDraw

from helpers import basemap, projection, style
from helpers.basemap import OFFLINE, BasemapError, Options, resolve, tile_zoom
from helpers.errors import ParameterError
from helpers.maps import sector_map
from helpers.style import COLOURS, WIDE
from mapcases import BASE, CASES, SECTOR, places, words

# Few tiles, no waiting.
QUICK = Options(width_px=300, max_tiles=12, timeout_s=(1.0, 1.0), budget_s=20.0)
MERCATOR = "EPSG:3857"
HALF_WORLD_M = np.pi * 6_378_137


def dotted(z, x, y):
    """A tile with a black dot of 8 pixels in its middle, and its name around it as colours."""
    image = Image.new("RGB", (256, 256), (230, 235 - x % 7 * 10, 225 - y % 5 * 10))
    ImageDraw.Draw(image).ellipse((124, 124, 131, 131), fill=(0, 0, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class Tiles(BaseHTTPRequestHandler):
    """A tile server that answers, or fails in one of the ways that servers do."""

    def do_GET(self):
        how, z, x, y = self.path.strip("/").removesuffix(".png").split("/")
        self.server.asked.append((how, int(z), int(x), int(y)))
        status = {"refuses": 403, "fails": 500, "lacks": 404}.get(how, 200)
        body = dotted(int(z), int(x), int(y))
        if how == "truncated":
            body = body[: len(body) // 2]
        elif how == "lies":
            body = b"<html>Please log in</html>"
        elif how == "flat":
            buffer = io.BytesIO()
            Image.new("RGB", (256, 256), (200, 0, 0)).save(buffer, "PNG")
            body = buffer.getvalue()
        elif how == "hangs":
            self.server.released.wait(10)
        self.send_response(status)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(body) * (2 if how == "short" else 1)))
        self.end_headers()
        if how != "hangs":
            self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tiles)
    server.daemon_threads = True
    server.asked, server.released = [], threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(server):
    """Address of the tiles by what the server does."""
    server.asked.clear()
    return lambda how: f"http://127.0.0.1:{server.server_port}/{how}/{{z}}/{{x}}/{{y}}.png"


@pytest.fixture
def no_network(monkeypatch):
    """Fail on any attempt to fetch."""

    def fetch(*args):
        raise AssertionError("a request was made")

    monkeypatch.setattr(basemap, "_fetch", fetch)


def test_offline_asks_nobody(no_network):
    assert resolve(SECTOR) is OFFLINE
    assert resolve(SECTOR, "offline") is OFFLINE
    assert OFFLINE.image is None


@pytest.mark.parametrize("variable", ["CI", "FRONTLINE_OFFLINE"])
def test_auto_is_offline_where_told(no_network, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    assert resolve(SECTOR, "auto") is OFFLINE


def test_auto_asks_the_default_provider(monkeypatch):
    asked = []

    def fetch(source, *args):
        asked.append(source)
        raise OSError("no network here")

    for variable in ("CI", "FRONTLINE_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(basemap, "_fetch", fetch)
    with pytest.warns(UserWarning, match="OpenStreetMap.Mapnik not available"):
        found = resolve(SECTOR, "auto")
    assert found.mode == "offline"
    assert [source.name for source in asked] == ["OpenStreetMap.Mapnik"]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("OpenStreetMap.Mapnick", "Did you mean 'openstreetmap.mapnik'|Possible: 'offline'"),
        ("", "Possible: 'offline'"),
        ("CartoDB.Positron", "needs a key"),
        ("https://example.org/tiles/{z}/{x}.png", "lacks a placeholder"),
    ],
)
def test_impossible_basemaps(no_network, mode, message):
    with pytest.raises(ParameterError, match=message):
        resolve(SECTOR, mode)


def test_the_default_needs_no_key():
    assert not basemap._provider(basemap.DEFAULT_PROVIDER).requires_token()


@pytest.mark.parametrize(
    ("how", "reason", "requests"),
    [
        ("fails", "server refused", 2),
        ("refuses", "server refused", 2),
        ("lacks", "server refused", 1),
        ("lies", "server refused", 2),
        ("truncated", "picture broken", 1),
        ("short", "connection broke off", 1),
        ("hangs", "server not reachable|server too slow", 1),
        ("flat", "answer not usable", 1),
    ],
)
def test_a_failing_server(server, url, how, reason, requests):
    options = replace(QUICK, max_tiles=1)
    with pytest.warns(UserWarning) as warned:
        found = resolve(SECTOR, url(how), options)
    assert [str(w.message) for w in warned] == [found.note]
    assert found.mode == "offline"
    assert found.image is None
    start, end = "Basemap from 127.0.0.1 not available (", "); offline base drawn instead."
    assert found.note.startswith(start)
    assert found.note.endswith(end)
    assert found.note[len(start) : -len(end)] in reason.split("|")
    assert len(server.asked) == requests


def test_a_server_that_is_not_there():
    start = time.perf_counter()
    with pytest.warns(UserWarning, match="server not reachable"):
        resolve(SECTOR, "http://127.0.0.1:9/{z}/{x}/{y}.png", QUICK)
    assert time.perf_counter() - start < 5


def test_the_budget_ends_it(server, url):
    options = replace(QUICK, timeout_s=(30.0, 30.0), budget_s=0.3)
    start = time.perf_counter()
    with pytest.warns(UserWarning, match="server too slow"):
        resolve(SECTOR, url("hangs"), options)
    assert time.perf_counter() - start < 3


def test_strict_raises(url):
    with pytest.raises(BasemapError, match=r"not available .server refused.: "):
        resolve(SECTOR, url("lacks"), replace(QUICK, strict=True))
    assert issubclass(BasemapError, ValueError)


def test_a_note_stands_on_the_figure(url):
    with pytest.warns(UserWarning):
        found = resolve(SECTOR, url("lacks"), QUICK)
    change = CASES["gain"]
    with style.style():
        figure = sector_map(
            change,
            base=replace(BASE, picture=found),
            places=places(change),
            text=words(change),
            theme=WIDE,
        )
    notes = [t.get_text() for t in figure.findobj(lambda a: a.get_gid() == "note")]
    said = " ".join(notes)
    assert said.count("not available (server refused); offline base drawn instead.") == 1


def dots(image):
    """Centres of the dark dots of a picture, pixels (x, y)."""
    dark = image.astype(int).sum(axis=2) < 600
    rows, columns = np.nonzero(dark)
    found = []
    while len(rows):
        near = np.hypot(rows - rows[0], columns - columns[0]) < 30
        found.append((columns[near].mean() + 0.5, rows[near].mean() + 0.5))
        rows, columns = rows[~near], columns[~near]
    return np.array(found)


def test_tiles_lie_where_they_belong(server, url):
    options = replace(QUICK, width_px=900, max_tiles=60)
    found = resolve(SECTOR, url("answers"), options)
    assert found.mode == "tiles"
    assert found.attribution == "Basemap: 127.0.0.1."
    assert found.note == ""
    assert found.image.shape == (702, 900, 3)
    assert found.image.dtype == np.uint8
    # The dots are at the tiles' centres: project those onto the frame's grid.
    zoom = server.asked[0][1]
    tiles = {(x, y) for _, _, x, y in server.asked}
    assert len(server.asked) == len(tiles)
    size = 2 * HALF_WORLD_M / 2**zoom
    centres = shapely.points(
        [((x + 0.5) * size - HALF_WORLD_M, HALF_WORLD_M - (y + 0.5) * size) for x, y in tiles]
    )
    metres = shapely.get_coordinates(projection.transform(centres, SECTOR.crs, source=MERCATOR))
    x0, _, x1, y1 = SECTOR.bounds_m
    scale = 900 / (x1 - x0)
    expected = np.column_stack([(metres[:, 0] - x0) * scale, (y1 - metres[:, 1]) * scale])
    inside = (expected > 10).all(axis=1) & (expected < (890, 692)).all(axis=1)
    seen = dots(found.image)
    assert inside.sum() >= 4
    for point in expected[inside]:
        assert np.hypot(*(seen - point).T).min() < 1.0


def test_a_picture_is_quiet():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = (255, 0, 0)
    quiet = basemap._quiet(image)
    assert quiet[1, 1].tolist() == [115, 115, 115]
    assert np.ptp(quiet[0, 0].astype(int)) < 40
    assert (basemap._quiet(np.full((1, 1, 3), 255, np.uint8)) == 255).all()


def test_a_map_over_tiles(url):
    change = CASES["both"]
    picture = resolve(SECTOR, url("answers"), QUICK)
    with style.style():
        figure = sector_map(
            change,
            base=replace(BASE, picture=picture),
            places=places(change),
            text=words(change),
            theme=WIDE,
        )
        figure.canvas.draw()
    (image,) = figure.findobj(lambda a: a.get_gid() == "basemap")
    (panel,) = figure.findobj(lambda a: a.get_gid() == "map")
    assert panel.bounds == SECTOR.bounds_m
    # It fills the frame, north up: here, by one colour from corner to corner.
    assert image.get_window_extent().get_points().tolist() == panel.box.get_points().tolist()
    (held,) = figure.findobj(lambda a: a.get_gid() == "held")
    assert held.get_alpha() < 1
    said = " ".join(t.get_text() for t in figure.findobj(lambda a: a.get_gid() == "source"))
    assert said.endswith("Basemap: 127.0.0.1.")


def test_tiles_are_kept(server, url, tmp_path):
    options = replace(QUICK, cache_dir=tmp_path / "tiles")
    first = resolve(SECTOR, url("answers"), options)
    asked = len(server.asked)
    again = resolve(SECTOR, url("answers"), options)
    assert len(server.asked) == asked > 0
    assert (first.image == again.image).all()


def test_zoom_fits_the_picture():
    bounds = SECTOR.polygon.bounds
    # At zoom 12 a pixel is 25.4 m on the ground at 48.4 degrees, and the picture's 25 m.
    assert tile_zoom(bounds, Options(width_px=1200, max_tiles=500)) == 13
    assert tile_zoom(bounds, Options(width_px=1150, max_tiles=500)) == 12
    assert tile_zoom(bounds, Options(width_px=1200, max_tiles=30)) < 13
    assert tile_zoom(bounds, Options(width_px=1200, max_tiles=500), max_zoom=9) == 9


def geotiff(path, bounds, **tags):
    """A picture with a red left half and a blue right half, on bounds in metres of the sector."""
    x0, y0, x1, y1 = bounds
    data = np.zeros((3, 40, 60), np.uint8)
    data[0, :, :30], data[2, :, 30:] = 255, 255
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=40,
        width=60,
        count=3,
        dtype="uint8",
        crs=SECTOR.crs,
        transform=rasterio.Affine((x1 - x0) / 60, 0, x0, 0, (y0 - y1) / 40, y1),
    ) as file:
        file.write(data)
        file.update_tags(**tags)
    return str(path)


def test_a_geotiff_smaller_than_the_frame_is_not_stretched(tmp_path):
    path = geotiff(
        tmp_path / "half.tif", (-7500, -5850, 7500, 5850), TIFFTAG_COPYRIGHT="© Somebody"
    )
    found = resolve(SECTOR, path, QUICK)
    assert (found.mode, found.attribution) == ("raster", "Basemap: © Somebody.")
    assert found.image.shape == (234, 300, 3)
    land = [int(COLOURS["land"][i : i + 2], 16) for i in (1, 3, 5)]
    bare = (found.image == land).all(axis=2)
    # It covers the middle quarter.
    assert bare[:57].all()
    assert bare[:, :74].all()
    assert not bare[60:174, 77:223].any()
    left, right = found.image[117, 100], found.image[117, 200]
    assert left[0] > left[2]
    assert right[2] > right[0]


def test_a_geotiff_elsewhere(tmp_path):
    path = geotiff(tmp_path / "far.tif", (50_000, 0, 60_000, 10_000))
    with pytest.warns(UserWarning, match=r"far.tif not available .answer not usable."):
        assert resolve(SECTOR, path, QUICK).mode == "offline"


def test_a_geotiff_that_is_none(tmp_path):
    path = tmp_path / "none.tif"
    path.write_text("no picture")
    with pytest.warns(UserWarning, match="file not readable"):
        resolve(SECTOR, str(path), QUICK)
    with pytest.raises(BasemapError, match="file not readable"):
        resolve(SECTOR, str(tmp_path / "missing.tif"), replace(QUICK, strict=True))
