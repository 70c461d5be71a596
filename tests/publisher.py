"""A server on this machine that plays every publisher, with their shapes of answers and faults."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from helpers import fetch
from helpers.web import Policy
from helpers.workspace import Workspace

# Quick where a publisher is given time; the pause is tested on its own.
POLICY = Policy(
    hosts=("127.0.0.1",),
    pause_s=0,
    connect_s=2,
    read_s=0.4,
    total_s=0.8,
    max_bytes=1_000_000,
    backoff_s=0.01,
)
# What goes away when it is asked again, and what needs a person or another run.
PASSING = ("throttled", "busy", "error_in_200", "truncated", "cut", "page_of_html", "hang", "drip")
LASTING = ("away", "huge", "swollen", "bomb")


def between(since: date, until: date) -> list[date]:
    return [since + timedelta(days=n) for n in range((until - since).days + 1)]


def ring(day: date, number: int = 0) -> list[list[float]]:
    """A square that grows a little every day, somewhere near Toretsk."""
    side = 0.2 + 0.001 * (day.toordinal() % 1000)
    x, y = 37.0 + number, 48.0
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(day: date, number: int = 0, **properties: object) -> dict:
    geometry = {"type": "Polygon", "coordinates": [ring(day, number)]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def collection(features: list[dict], **more: object) -> dict:
    return {"type": "FeatureCollection", "features": features, **more}


@dataclass
class PlayedLayer:
    """A layer of a feature service; `days` gives the number of features a day."""

    name: str
    days: dict[date, int]
    date_type: str = "esriFieldTypeDateOnly"
    edited: datetime = datetime(2025, 1, 8, 23, 0, tzinfo=UTC)
    geometry: str = "esriGeometryPolygon"
    # Pages of 2, so that a day with 3 features has two; days come by the twenty.
    page: int = 2
    days_page: int = 20
    formats: str = "JSON, geoJSON, PBF"

    def about(self, number: int) -> dict:
        named = {"FID": "esriFieldTypeOID", "datetime": self.date_type}
        named |= {"EditDate": "esriFieldTypeDate"}
        return {
            "id": number,
            "name": self.name,
            "geometryType": self.geometry,
            "objectIdField": "FID",
            "maxRecordCount": self.page,
            "supportedQueryFormats": self.formats,
            "fields": [{"name": name, "type": kind} for name, kind in named.items()],
            "editingInfo": {"lastEditDate": int(self.edited.timestamp() * 1000)},
        }

    def stamp(self, day: date) -> object:
        if self.date_type == "esriFieldTypeDateOnly":
            return day.isoformat()
        return int(datetime(day.year, day.month, day.day, 9, tzinfo=UTC).timestamp() * 1000)

    def query(self, asked: dict[str, str]) -> dict:
        chosen = self._chosen(asked["where"])
        if chosen is None:
            return {"error": {"code": 400, "message": "Invalid query parameters.", "details": []}}
        if asked.get("returnCountOnly"):
            return {"count": sum(self.days[day] for day in chosen)}
        page = self.page
        if asked.get("returnDistinctValues"):
            page = self.days_page
            rows = [{"attributes": {"datetime": self.stamp(day)}} for day in chosen]
        else:
            rows = [
                feature(day, n, datetime=self.stamp(day))
                for day in chosen
                for n in range(self.days[day])
            ]
        start = int(asked.get("resultOffset", 0))
        end = start + page
        more = {"exceededTransferLimit": True} if len(rows) > end else {}
        if asked["f"] == "geojson":
            return collection(rows[start:end], **({"properties": more} if more else {}))
        return {"features": rows[start:end]} | more

    def _chosen(self, where: str) -> list[date] | None:
        if where == "1=1":
            return sorted(self.days)
        if self.date_type == "esriFieldTypeDateOnly":
            form = r"datetime >= DATE '(\S+)' AND datetime <= DATE '(\S+)'"
        else:
            form = (
                r"datetime >= TIMESTAMP '(\S+) 00:00:00' AND datetime < TIMESTAMP '(\S+) 00:00:00'"
            )
        match = re.fullmatch(form, where)
        if not match:
            return None
        first, last = map(date.fromisoformat, match.groups())
        if self.date_type != "esriFieldTypeDateOnly":
            last -= timedelta(days=1)
        return [day for day in sorted(self.days) if first <= day <= last]


@dataclass
class Publisher:
    """What is served, what goes wrong, and what was asked."""

    archive: dict[date, dict] = field(default_factory=dict)
    nzz: dict[date, dict] = field(default_factory=dict)
    updates: list[dict] = field(default_factory=list)
    services: dict[str, dict[int, PlayedLayer]] = field(default_factory=dict)
    webmap: list[dict] = field(default_factory=list)
    # Part of an address: faults of the first, second, … time that it is asked.
    faults: dict[str, list[str]] = field(default_factory=dict)
    # Faults that the first question for each address meets, one after the other.
    every: tuple[str, ...] = ()
    log: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hits: dict[str, int] = field(default_factory=dict)
    busy: int = 0
    most_at_once: int = 0
    done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, part: str = "") -> list[str]:
        return [path for path, _ in self.log if part in path]

    def fault(self, path: str) -> str:
        for part, several in self.faults.items():
            if part in path and several:
                return several.pop(0)
        self.hits[path] = self.hits.get(path, 0) + 1
        if self.every and self.hits[path] == 1:
            return self.every[len(self.hits) % len(self.every)]
        return ""

    def answer(self, path: str) -> dict | list | None:
        parts = urlsplit(path)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if match := re.fullmatch(r"/archive/deepstatemap_data_(\d{8})\.geojson", parts.path):
            return self.archive.get(date.fromisoformat(match[1]))
        if parts.path == "/history/public":
            return self.updates
        if match := re.fullmatch(r"/history/(\d+)/geojson", parts.path):
            known = {update["id"] for update in self.updates if "id" in update}
            day = datetime.fromtimestamp(int(match[1]), tz=UTC).date()
            return collection([feature(day, name="x")]) if int(match[1]) in known else None
        if parts.path == "/nzz":
            return self.nzz.get(date.fromisoformat(asked["to"]))
        if parts.path == "/webmap":
            return {"operationalLayers": self.webmap}
        return self._service(parts.path, asked)

    def _service(self, path: str, asked: dict[str, str]) -> dict | None:
        match = re.fullmatch(r"/rest/services/(\w+)/FeatureServer(?:/(\d+)(/query)?)?", path)
        if not match:
            return None
        layers = self.services.get(match[1])
        if layers is None or (match[2] and int(match[2]) not in layers):
            return {"error": {"code": 400, "message": "Invalid URL", "details": ["Invalid URL"]}}
        if not match[2]:
            return {"layers": [{"id": n, "name": layer.name} for n, layer in layers.items()]}
        layer = layers[int(match[2])]
        return layer.query(asked) if match[3] else layer.about(int(match[2]))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's receipt
    publisher: Publisher

    def log_message(self, *_: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "Thu, 09 Jan 2025 12:00:00 GMT"

    def do_GET(self) -> None:
        played = self.publisher
        with played.lock:
            played.log.append((self.path, dict(self.headers)))
            played.busy += 1
            played.most_at_once = max(played.most_at_once, played.busy)
            fault = played.fault(self.path)
        try:
            getattr(self, fault or "serve")()
        except OSError:  # the client has hung up
            self.close_connection = True
        finally:
            with played.lock:
                played.busy -= 1

    def body(self) -> bytes | None:
        content = self.publisher.answer(self.path)
        return None if content is None else json.dumps(content).encode()

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def serve(self) -> None:
        body = self.body()
        if body is None:
            self.send(b"404: Not Found", 404)
            return
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == tag:
            self.send(b"", 304)
        else:
            self.send(body, ETag=tag, Set_Cookie="visitor=1", Content_Type="application/json")

    def throttled(self) -> None:
        self.send(b"slow down", 429, Retry_After="0")

    def much_later(self) -> None:
        self.send(b"slow down", 429, Retry_After="Thu, 09 Jan 2025 22:00:00 GMT")

    def busy(self) -> None:
        self.send(b"", 503)

    def forbidden(self) -> None:
        self.send(b"", 403)

    def error_in_200(self) -> None:
        self.send(b'{"error": {"code": 504, "message": "Your request has timed out."}}')

    def no_token(self) -> None:
        self.send(b'{"error": {"code": 403, "message": "You do not have permissions."}}')

    def page_of_html(self) -> None:
        self.send(b"<html><title>Maintenance</title></html>")

    def truncated(self) -> None:
        """Half of what was announced."""
        body = self.body() or b"{}"
        self.send(body[: len(body) // 2], Content_Length=str(len(body)))
        self.close_connection = True

    def cut(self) -> None:
        """Half, and said to be all."""
        body = self.body() or b"{}"
        self.send(body[: len(body) // 2])

    def hang(self) -> None:
        self.publisher.done.wait(3)
        self.close_connection = True

    def drip(self) -> None:
        """A byte at a time, never so late that reading times out."""
        self.send(b"{", Content_Length="1000")
        for _ in range(100):
            if self.publisher.done.wait(0.05):
                break
            self.wfile.write(b" ")
            self.wfile.flush()
        self.close_connection = True

    def away(self) -> None:
        self.send(b"", 302, Location=f"http://localhost:{self.publisher.port}{self.path}")

    def here(self) -> None:
        self.send(b"", 302, Location=self.path)

    def huge(self) -> None:
        self.send(b"{", Content_Length=str(10**12))
        self.close_connection = True

    def swollen(self) -> None:
        """Without a length, and without an end."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = b" " * 100_000
        while not self.publisher.done.is_set():
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def bomb(self) -> None:
        self.send(gzip.compress(b" " * 30_000_000), Content_Encoding="gzip")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no error of the server."""


def start(publisher: Publisher) -> Callable[[], None]:
    """Serve from a thread; returns what stops it."""
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"publisher": publisher}))
    publisher.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def stop() -> None:
        publisher.done.set()
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def fetch_all(root: str, asked: fetch.Asked) -> None:
    """A run of its own process, to be killed."""
    fetch.run(Workspace.at(root), asked, policy=POLICY)
