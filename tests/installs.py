"""What an install with some extras has, by the metadata of what is installed."""

from importlib.metadata import distribution, packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "frontline-notebooks"


def closure(*extras: str) -> dict[str, str]:
    """Name to version of every package that an install with these extras brings."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    wanted = [(PROJECT, extra) for extra in ("", *extras)]
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        package = distribution(name)
        found[canonicalize_name(name)] = package.version
        for text in package.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                wanted += [(needed.name, inner) for inner in ("", *needed.extras)]
    del found[PROJECT]
    return found


def not_in_a_minimal_install() -> set[str]:
    """Top-level modules of this environment that an install without extras would not have."""
    minimal = {*closure(), PROJECT}
    return {
        module
        for module, packages in packages_distributions().items()
        if not minimal & set(map(canonicalize_name, packages))
    }


# For a folder on PYTHONPATH: Python reads it whenever it starts.
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}: absent", name=name)
sys.meta_path.insert(0, Blocked())
"""


def blocking() -> str:
    """The text of a ``sitecustomize.py`` that leaves only what a minimal install has."""
    return BLOCK.format(names=not_in_a_minimal_install())
