"""pyproject.toml, requirements.lock and environment.yml name the same versions, and no address."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()


def pins(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r'([A-Za-z0-9._-]+)==([^\s";\\]+)', text):
        found.setdefault(name.lower(), set()).add(version)
    return found


def direct() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    listed = [*project["dependencies"], *(text for extra in extras for text in extra)]
    return {re.match(r"[A-Za-z0-9._-]+", text)[0].lower() for text in listed}


def test_every_dependency_is_locked_with_hashes():
    assert direct() <= set(pins(LOCK))
    requirements = re.findall(r"^[a-z0-9].*(?:\n    .*)*", LOCK, flags=re.MULTILINE)
    assert len(requirements) > 100
    assert [r.splitlines()[0] for r in requirements if "--hash=sha256:" not in r] == []


def test_environment_has_the_locked_versions_of_all_direct_dependencies():
    named = pins((ROOT / "environment.yml").read_text())
    assert set(named) == direct()
    assert {
        name: versions for name, versions in named.items() if versions != pins(LOCK)[name]
    } == {}


def test_environment_is_what_the_script_writes(tmp_path):
    code = "import environment; print(environment.environment(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (ROOT / "environment.yml").read_text()


def test_a_version_that_differs_is_seen():
    changed = re.sub(r"geopandas==[\d.]+", "geopandas==0.0.1", LOCK)
    assert pins(changed)["geopandas"] != pins(LOCK)["geopandas"]


def test_no_committed_dependency_file_holds_an_address():
    for name in ("requirements.lock", "environment.yml", "pyproject.toml"):
        text = (ROOT / name).read_text()
        assert not re.search(r"(https?|file)://|index-url|find-links", text), name
