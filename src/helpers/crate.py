"""A report as a research object: its files and its making as RO-Crate 1.1 metadata.

The specification: Research Object Crate (RO-Crate) 1.1, https://w3id.org/ro/crate/1.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "ro-crate-metadata.json"
_PROFILE = "https://w3id.org/ro/crate/1.1"
_MAKER = "#frontline-notebooks"
_LICENCES = {"CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/"}
_FORMATS = {
    ".csv": "text/csv",
    ".geojson": "application/geo+json",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_FOLDERS = {
    "data/": "Tables and polygons behind the figures",
    "figures/": "Maps and charts, for screens and for phones",
    "notebooks/": "The executed notebooks",
}
Entity = dict[str, Any]
_AUTHOR: Entity = {
    "@id": "#contributors",
    "@type": "Organization",
    "name": "The Frontline Notebooks contributors",
}


def metadata(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a report that is being made.

    Parameters
    ----------
    folder
        The report, complete but for this description and its manifest.
    manifest
        Title, day, compare_to, source, command, inputs, newest_input_day and software of the
        report.

    Returns
    -------
    dict
        Content of ``ro-crate-metadata.json``. It dates the report by its newest input: the same
        report has the same description.
    """
    files = [_file(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
    files.append(_entity("manifest.json", "File", "Parameters, inputs and hashes"))
    files[-1]["encodingFormat"] = "application/json"
    folders = [
        {**_entity(name, "Dataset", text), "hasPart": _ids(parts)}
        for name, text in _FOLDERS.items()
        if (parts := [file for file in files if file["@id"].startswith(name)])
    ]
    inputs = [_input(item) for item in manifest["inputs"]]
    licence = _licence(manifest["source"])
    described = {
        "@id": FILE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": _PROFILE},
    }
    graph = [
        described,
        _root(manifest, licence, [*folders, *files]),
        licence,
        _publisher(manifest["source"]),
        _AUTHOR,
        _software(manifest["software"]),
        _making(manifest, inputs),
        *folders,
        *files,
        *inputs,
    ]
    return {"@context": f"{_PROFILE}/context", "@graph": graph}


def _entity(name: str, kind: str | list[str], text: str) -> Entity:
    return {"@id": name, "@type": kind, "name": text}


def _ids(entities: list[Entity]) -> list[dict[str, str]]:
    return [{"@id": entity["@id"]} for entity in entities]


def _file(folder: Path, path: Path) -> Entity:
    name = path.relative_to(folder).as_posix()
    return {
        **_entity(name, "File", path.name),
        "contentSize": str(path.stat().st_size),
        "encodingFormat": _FORMATS.get(path.suffix, "application/octet-stream"),
    }


def _input(item: Mapping[str, str]) -> Entity:
    return {
        **_entity(f"#input/{item['path']}", "CreativeWork", item["path"]),
        "identifier": f"sha256:{item['sha256']}",
        "temporalCoverage": item["assessed_day"],
    }


def _licence(source: Mapping[str, Any]) -> Entity:
    name = str(source["licence"])
    found = _entity(_LICENCES.get(name, "#licence"), "CreativeWork", name)
    return {**found, "description": f"Licence of the maps measured: {name}"}


def _publisher(source: Mapping[str, Any]) -> Entity:
    entity = _entity("#publisher", "Organization", str(source["publisher"]))
    return {**entity, "description": f"{source['title']}. {source['attribution']}"}


def _software(versions: Mapping[str, str]) -> Entity:
    others = ", ".join(f"{name} {version}" for name, version in versions.items())
    return {
        **_entity(_MAKER, "SoftwareApplication", "Frontline Notebooks"),
        "softwareVersion": versions["frontline-notebooks"],
        "softwareRequirements": others,
    }


def _root(manifest: Mapping[str, Any], licence: Entity, parts: list[Entity]) -> Entity:
    return {
        **_entity("./", "Dataset", str(manifest["title"])),
        "description": f"{manifest['title']}, {manifest['day']} compared with "
        f"{manifest['compare_to']}. {manifest['source']['caveat']}",
        "datePublished": manifest["newest_input_day"],
        "temporalCoverage": f"{manifest['compare_to']}/{manifest['day']}",
        "license": {"@id": licence["@id"]},
        "creditText": manifest["source"]["attribution"],
        "author": {"@id": _AUTHOR["@id"]},
        "sourceOrganization": {"@id": "#publisher"},
        "mentions": {"@id": "#making"},
        "hasPart": _ids(parts),
    }


def _making(manifest: Mapping[str, Any], inputs: list[Entity]) -> Entity:
    return {
        **_entity("#making", "CreateAction", str(manifest["command"])),
        "instrument": {"@id": _MAKER},
        "object": _ids(inputs),
        "result": {"@id": "./"},
    }
