"""What README and docs say is there is there; what they tell to type works."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import click
import pytest
import yaml
from bs4 import BeautifulSoup
from click.testing import CliRunner

from chromium import browser
from helpers import cli, endpoints
from helpers.workspace import PROJECT
from test_cluster import notebooks as small_notebooks
from test_fetch import played, ws  # noqa: F401  # the fixtures of a played publisher

sys.path.insert(0, str(PROJECT / "scripts"))

import walk

PAGES = sorted(
    path
    for path in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), PROJECT / "data" / "README.md")
)
README = (PROJECT / "README.md").read_text()
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(
    r"`((?:src|tests|docs|scripts|notebooks|benchmarks|data|\.ci|\.github)/[\w./-]+|[\w-]+\.(?:md|toml|lock|yml))`"
)
# Named in the docs as what a workspace, a release or a run has, not as a file of the project.
_MADE = {"data/raw", "data/processed", "data/sectors.geojson", "source.toml", "endpoints.toml"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(PROJECT).as_posix())
def test_every_link_and_path_leads_somewhere(page):
    text = page.read_text()
    for target in _LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        path, _, part = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if part and there.suffix == ".md":
            assert part in anchors(there.read_text()), target
    for path in _PATH.findall(text):
        known = [PROJECT / path, page.parent / path, PROJECT / "src" / "helpers" / path]
        made = path in _MADE or path.startswith(("data/raw/", "data/processed/", "docs/html"))
        made = made or "NN-" in path or re.fullmatch(r"data/[\w-]+\.(csv|json|geojson)", path)
        assert made or any(p.exists() for p in known), path


def anchors(text):
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_every_page_is_in_the_navigation():
    text = (PROJECT / "mkdocs.yml").read_text().split("nav:")[1]
    named = set(re.findall(r"([\w-]+\.md)", text))
    assert named == {path.name for path in PROJECT.glob("docs/*.md")}


# Options of the whole program, and their values, in the docs.
_GLOBAL = {"--root", "DIR", "~/maps", "$HOME/maps", "--verbose", "--quiet"}

# Commands -----------------------------------------------------------------------------------


def commands(text):
    """The lines of blocks marked ``sh``, continued lines joined, comments left out."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("   #")[0].split("  #")[0].strip() for line in lines if line.strip()]


def test_make_commands_of_the_readme_have_their_targets():
    made = [line for line in commands(README) if line.startswith("make ")]
    assert len(made) >= 4
    for line in made:
        done = subprocess.run(
            ["make", "--dry-run", *shlex.split(line)[1:]],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, line


def test_every_target_that_is_named_is_there():
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for name in re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z]+)", page.read_text()):
            assert name in targets, f"{page.name}: make {name}"


SAMPLED = ("2024-12-01", "2024-12-08", "2025-01-01", "2025-01-07", "2025-01-08")
FRONTLINE = [line for line in commands(README) if line.startswith(".venv/bin/frontline")]


def test_commands_of_the_readme_run(tmp_path, monkeypatch, played, ws):  # noqa: F811
    """In their order; `~/maps` is a workspace whose publisher is played on this machine."""
    clone = tmp_path / "clone"
    (clone / "data" / "raw").mkdir(parents=True)
    shipped = PROJECT / "data" / "raw"
    (clone / "data" / "raw" / "claims").symlink_to(shipped / "claims")
    few = clone / "data" / "raw" / "reconstruction"
    few.mkdir()
    for day in SAMPLED:
        shutil.copy(shipped / "reconstruction" / f"{day}.geojson", few)
    # The publisher is on this machine, so nobody is kept waiting out of politeness.
    own = ws.raw / "deepstate" / endpoints.OWN_FILE
    own.write_text("pause_s = 0.01\n" + own.read_text())
    for root in (clone, ws.root):
        if not (root / "notebooks").exists():
            small_notebooks(root / "notebooks")
    monkeypatch.chdir(clone)
    ran = 0
    for line in FRONTLINE:
        words = shlex.split(line)[1:]
        words = [str(ws.root) if word == "~/maps" else word for word in words]
        # Two frames tell as much as 32; the played publisher has a month.
        early = "2025-01-07" if "animate" in words else "2024-12-10"
        words = [early if word == "2024-12-08" else word for word in words]
        if "backfill" in words:
            words[words.index("2025-01-31")] = "2025-01-08"  # two reports, for the same reason
        if "--rerun" in words:
            CliRunner().invoke(cli.main, ["report", "2025-01-08"])
        done = CliRunner().invoke(cli.main, words)
        assert done.exit_code == 0, f"{line}\n{done.output}"
        ran += 1
    assert ran >= 9


def test_papermill_is_called_as_the_readme_says(tmp_path, monkeypatch):
    (line,) = (line for line in commands(README) if "papermill" in line)
    words = shlex.split(line)
    assert words[1] == "notebooks/01-sector-map.ipynb"
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "--help-notebook", str(PROJECT / words[1])],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"FRONTLINE_OUTPUT": str(tmp_path)},
    )
    for name in words[words.index("-p") + 1 :: 3]:
        assert f"{name}:" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_in_the_docs_parses(page):
    text = page.read_text()
    lines = commands(text) + re.findall(r"`((?:\.venv/bin/)?frontline [^`]+)`", text)
    lines += re.findall(r"^    ((?:\.venv/bin/)?frontline [^\n]+)$", text, re.MULTILINE)
    for line in lines:
        line = line.split("  #")[0].split(" # ")[0].split("\n")[0]
        if not re.match(r"(\.venv/bin/)?frontline ", line) or "[" in line:
            continue
        words = [word for word in shlex.split(re.sub("[<>]", "", line)) if word != "..."][1:]
        if "--help" in words:
            continue
        with cli.main.make_context("frontline", list(words)) as context:
            command: click.Command = cli.main
            rest = words
            while isinstance(command, click.Group) and rest:
                rest = [word for word in rest if word not in _GLOBAL]
                command = command.commands[rest.pop(0)] if rest else command
            # A command that is only named has no arguments.
            if rest:
                command.make_context(command.name, list(rest), parent=context)


def test_the_steps_of_the_tutorial_are_found():
    found = walk.steps((PROJECT / "docs" / "tutorial.md").read_text())
    assert [step[0][:2] for step in found] == ["1.", "1.", "2.", "3.", "4.", "5."]
    assert "sectors.geojson" in found[4][1]


# Built --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("docs") / "html"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(out)],
        cwd=PROJECT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_documentation_has_what_the_code_says(built):
    text = BeautifulSoup((built / "cli.html").read_text(), "html.parser").get_text()
    for name in cli.main.commands:
        assert f"Usage: frontline {name}" in text
    text = BeautifulSoup((built / "parameters.html").read_text(), "html.parser").get_text()
    assert "compare_to" in text
    assert "an earlier assessed day" in text
    text = BeautifulSoup((built / "api.html").read_text(), "html.parser").get_text()
    assert "metres_per_degree" in text
    assert "OGC:CRS84" in text


@pytest.mark.browser
def test_the_documentation_asks_no_other_host(built, tmp_path):
    with browser(tmp_path) as tab:
        for page in ("index.html", "cli.html", "tutorial.html"):
            tab.open((built / page).as_uri(), 390)
            tab.settle(0.3)
            assert [url for url in tab.requests if not url.startswith("file://")] == []
            assert tab.run("document.documentElement.scrollWidth") <= 390


# Other files for people ---------------------------------------------------------------------


def test_versions_agree():
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((PROJECT / "CITATION.cff").read_text())["version"] == version
    assert cli.__version__ == version


@pytest.mark.parametrize(
    "path",
    [*PROJECT.glob(".github/**/*.yml"), PROJECT / ".pre-commit-config.yaml"],
    ids=lambda p: p.name,
)
def test_yaml_is_yaml_and_workflows_use_targets_that_are_there(path):
    content = yaml.safe_load(path.read_text())
    assert content
    makefile = (PROJECT / "Makefile").read_text()
    in_use = path.read_text() if path.parent.name == "workflows" else ""
    for target in re.findall(r"make ([a-z]+)", in_use):
        assert f"\n{target}:" in makefile


def test_issue_templates_ask_what_is_needed():
    for name in ("wrong-number", "new-source"):
        form = yaml.safe_load((PROJECT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
        asked = [field for field in form["body"] if field["type"] != "checkboxes"]
        assert all(field["attributes"]["label"] for field in asked)
        assert sum(field.get("validations", {}).get("required", False) for field in asked) >= 3


def test_the_devcontainer_is_json():
    content = json.loads((PROJECT / ".devcontainer" / "devcontainer.json").read_text())
    assert "make setup" in content["postCreateCommand"]
