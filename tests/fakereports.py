"""Small reports for tests of what is built from reports: the form of real ones, made in no time."""

import json
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image, ImageDraw

from helpers import pages, provenance, reports, sources
from helpers.pages import Page
from helpers.schema import MEASURE_COLUMNS

SECTORS = {"kurakhove": "presence", "kursk": "ukrainian_held"}
MEASURED = dict.fromkeys(MEASURE_COLUMNS, "")
# What an attacker would plant where a text from data is shown.
EVIL = "<script>globalThis.evil=1</script><img src=x onerror=globalThis.evil=1>"


def figure(folder: Path, name: str, alt: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"wide": (120, 80), "phone": (78, 90)}
    for kind, size in sizes.items():
        image = Image.new("P", size, 1)
        image.putpalette([255, 255, 255, 200, 67, 27, 31, 28, 25])
        ImageDraw.Draw(image).rectangle((10, 20, size[0] - 10, size[1] - 20), fill=2)
        image.save(folder / f"{name}-{kind}.png")
        (folder / f"{name}-{kind}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}">'
            '<clipPath id="a"><rect x="10" y="20" width="50" height="40"/></clipPath></svg>'
        )
    renditions = {
        kind: {"width": width, "height": height} for kind, (width, height) in sizes.items()
    }
    record = {"name": name, "alt": alt, "caption": f"Caption of {alt}", "renditions": renditions}
    (folder / f"{name}.json").write_text(json.dumps(record))


def notebook(name: str, text: str) -> Any:
    v4 = nbformat.v4
    shown = v4.new_output(
        "display_data",
        data={"image/png": "AA", "text/plain": "x"},
        metadata={"frontline": {"figure": name}},
    )
    table = v4.new_output(
        "display_data",
        data={
            "text/html": f"<table><caption>{text}</caption><tr><td>{text}</td></tr></table>",
            "text/plain": "x",
        },
    )
    said = v4.new_output("display_data", data={"text/markdown": f"- {text}", "text/plain": "x"})
    return v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# What changed?\n\nHow to run"),
            v4.new_markdown_cell("## The finding"),
            v4.new_code_cell("shown", execution_count=1, outputs=[said, shown, table]),
        ]
    )


def measures(day: str, nets: dict[str, float]) -> str:
    lines = [",".join(MEASURE_COLUMNS)]
    for sector, tier in SECTORS.items():
        for on, net in {"2024-12-31": None, **nets, day: 7.0}.items():
            row = MEASURED | {
                "source": "reconstruction",
                "sector": sector,
                "day": on,
                "tier": tier,
                "area_km2": "100.0",
                "net_km2": "" if net is None else f"{net:.6f}",
                "elapsed_days": "" if net is None else "1",
                "note": "first day" if net is None else "",
            }
            lines.append(",".join(row.values()))
    return "\n".join(lines) + "\n"


def report(
    root: Path,
    day: str,
    *,
    title: str = "Kurakhove: reconstructed Russian presence grew by 7 km² in 31 days",
    source: str = "reconstruction",
    suffix: str = "",
    text: str = "Kurakhove grew.",
    nets: dict[str, float] | None = None,
    more: dict[str, str] | None = None,
) -> Path:
    """Write ``reports/<day>`` of a source, with two sectors."""
    folder = root / "reports" / f"{day}{suffix}"
    about = sources.get(source)
    runs = {"briefing": {}, **{f"sector-map-{key}": {"sector": key} for key in SECTORS}}
    numbers = {"area_km2": 100.0, "net_km2": 7.0, "error_km2": 3.0}
    finding = {"text": text, "numbers": numbers, "sector": "kurakhove"}
    data = {
        "measures.csv": measures(day, nets or {}),
        "briefing.json": json.dumps({"headline": finding, "findings": [finding]}),
        "change-kurakhove.geojson": '{"type": "FeatureCollection", "features": []}',
        **(more or {}),
    }
    (folder / "data").mkdir(parents=True)
    (folder / "notebooks").mkdir()
    for name, content in data.items():
        (folder / "data" / name).write_text(content)
    downloads = sorted(f"data/{name}" for name in data)
    if not about.redistributable:
        downloads = [name for name in downloads if not name.endswith(".geojson")]
    for key in SECTORS:
        figure(folder / "figures", f"sector-map-{key}", f"Map of {key}. {text}")
    pictures = pages.figures(folder / "figures", data=downloads)
    links = [{"href": reports._page_file(name), "text": name, "current": False} for name in runs]
    for name in runs:
        page = Page(
            name=name,
            title=title,
            description=title,
            dateline=day,
            caveat=about.caveat,
            attribution=about.attribution,
            licence=about.licence,
            positional_error="1.5 km",
            command=f"frontline report {day}",
            folder=folder.name,
            links=links,
            downloads=downloads,
            notebook=f"notebooks/{name}.ipynb",
        )
        (folder / "notebooks" / f"{name}.ipynb").write_text("{}")
        shown = name if name != "briefing" else "sector-map-kurakhove"
        html = pages.render(notebook(shown, text), page, pictures)
        (folder / reports._page_file(name)).write_text(html)
    (folder / "ro-crate-metadata.json").write_text("{}")
    manifest = {
        "schema": "frontline-report/1",
        "title": title,
        "day": day,
        "compare_to": "2024-12-08",
        "command": f"frontline report {day}",
        "newest_input_day": day,
        "git_commit": "",
        "software": {"python": "3.11", "frontline-notebooks": "0.1.0"},
        "inputs": [],
        "source": {
            "id": about.id,
            "publisher": about.publisher,
            "title": about.title,
            "attribution": about.attribution,
            "licence": about.licence,
            "caveat": about.caveat,
        },
        "runs": {
            name: {
                "title": title,
                "parameters": {**parameters, "tier": SECTORS.get(parameters.get("sector"), "")},
                "numbers": numbers,
            }
            for name, parameters in runs.items()
        },
        "files": provenance.tree_sha256(folder),
    }
    (folder / "manifest.json").write_bytes(provenance.to_json(manifest))
    return folder
