"""Reading every raw file there is into a store: ours against plain geopandas, in the same run.

    FRONTLINE_SHARED_DATA=... python benchmarks/bench_ingest.py [--repeat 1]

The plain way reads one file after another with ``geopandas.read_file``, repairs it with
``make_valid``, dissolves it and writes it as GeoParquet. Ours reads in threads, tells days, layers,
copies and repairs, compares each map with the one before, judges every day and writes a store.
"Reading" is the first half of both: from a file to valid layers, one file after another. Each run
is a process of its own; imports are not counted. What is printed are ratios of the two in this run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import orjson
from pyogrio.errors import DataSourceError

from helpers import ingest
from helpers.errors import SnapshotError
from helpers.publishers import READERS
from helpers.workspace import Workspace

SOURCES = ("deepstate", "isw", "liveuamap")


def shared() -> Path:
    return Path(os.environ["FRONTLINE_SHARED_DATA"])


def files(source: str) -> list[Path]:
    """Its maps."""
    found = sorted((shared() / source).rglob("*.*json"))
    return [path for path in found if path.name != "daily_areas.json"]


def plain_layers(path: Path) -> gpd.GeoDataFrame | None:
    """As anybody would."""
    content: Path | str = path
    if path.suffix == ".json":  # GDAL would find the collection inside, by luck
        content = orjson.dumps(orjson.loads(path.read_bytes())["value"]).decode()
    try:
        table = gpd.read_file(content)
    except DataSourceError:  # a torn file
        return None
    table = table[table.geometry.notna()]
    table["geometry"] = table.geometry.make_valid()
    return table.dissolve(by="type" if "type" in table else None)


def plain(folder: Path) -> float:
    """Read, then write each."""
    reading = 0.0
    for source in SOURCES:
        for path in files(source):
            start = time.process_time()
            whole = plain_layers(path)
            reading += time.process_time() - start
            if whole is not None:
                whole.to_parquet(folder / f"{source}-{path.parent.name}-{path.stem}.parquet")
    return reading


def ours(folder: Path) -> float:
    """Into an empty workspace; reading is timed apart."""
    raw = folder / "data" / "raw"
    raw.mkdir(parents=True)
    for source in SOURCES:
        (raw / source).symlink_to(shared() / source)
    ingest.run(Workspace.at(folder))
    return 0.0


def our_reading() -> float:
    """CPU seconds from files to valid layers."""
    start = time.process_time()
    for source in SOURCES:
        for path in files(source):
            with contextlib.suppress(SnapshotError):
                READERS[source](path)
    return time.process_time() - start


ENGINES = {"plain": plain, "ours": ours}


def run(engine: str) -> dict[str, float]:
    """One engine in this process."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        reading = ENGINES[engine](Path(folder))
        spent = {"wall time": time.perf_counter() - wall, "CPU time": time.process_time() - cpu}
        spent["CPU time of reading"] = reading or our_reading()
        stored = sum(
            path.stat().st_size
            for path in Path(folder).rglob("*.parquet")
            if path.is_file() and not path.is_symlink()
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**spent, "peak memory": peak, "size of what is stored": stored}


def in_process(engine: str) -> dict[str, float]:
    """One engine in a process of its own."""
    command = [sys.executable, __file__, "--engine", engine]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if "FRONTLINE_SHARED_DATA" not in os.environ:
        sys.exit("Set FRONTLINE_SHARED_DATA to a folder with deepstate/, isw/ and liveuamap/.")
    if options.engine:
        print(json.dumps(run(options.engine)))
        return
    results: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
    for _ in range(options.repeat):
        for engine, found in results.items():
            found.append(in_process(engine))
    print("All raw files of three publishers into a store. Plain geopandas takes, times ours:")
    for what in results["ours"][0]:
        median = {e: statistics.median(r[what] for r in found) for e, found in results.items()}
        print(f"  {what:24}{median['plain'] / median['ours']:8.1f}")


if __name__ == "__main__":
    main()
