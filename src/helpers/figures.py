"""One picture in its renditions: drawn, checked, turned into bytes, saved beside its description.

The bytes depend on what is drawn alone: the same in every process, on every day, in every time zone
and with any ``matplotlibrc``, for one version of matplotlib.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from helpers.errors import ParameterError
from helpers.files import write_atomic
from helpers.style import COLOURS, THEMES, Theme, style
from helpers.typesetting import write_svg

# Width at which JupyterLab shows a figure, CSS pixels.
_SHOWN_PX = 900

# So many colours, well chosen, are hardly to be told from all two thousand of a figure; its file is
# a fourth smaller than with 256. So many of them are chosen because they are frequent.
_PALETTE = 64
_FREQUENT = 16
_THEME_COLOURS = tuple(sorted({int(colour[1:], 16) for colour in COLOURS.values()}))
# More colours than this are a picture under a map, which a palette would spoil.
_MOST_COLOURS = 12_000
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class FigureSet:
    """A figure, ready to be shown and saved.

    Attributes
    ----------
    name
        Lower-case words joined by hyphens: the stem of its files.
    alt, caption
        What is to be seen, for those who do not see it; what stands below it.
    png, svg
        Rendition ("wide", "phone") to the bytes of the file.
    size
        Rendition to width and height of the PNG in pixels.
    made_of
        Digest of all that was drawn, where it is known.
    """

    name: str
    alt: str
    caption: str
    png: Mapping[str, bytes]
    svg: Mapping[str, bytes]
    size: Mapping[str, tuple[int, int]]
    made_of: str = ""

    def __repr__(self) -> str:
        return f"<Figure {self.name}: {self.alt}>"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        data = {
            "image/png": base64.b64encode(self.png["wide"]).decode(),
            "text/plain": repr(self),
        }
        return data, {
            "image/png": {"width": _SHOWN_PX, "alt": self.alt},
            "frontline": {"figure": self.name},
        }

    def save(self, folder: Path) -> list[Path]:
        """Write the renditions and their description.

        Parameters
        ----------
        folder
            Where to; it is made.

        Returns
        -------
        list of pathlib.Path
            ``<name>-wide.png``, ``<name>-wide.svg``, the same for the phone, and ``<name>.json``,
            which is written last and has alt text, caption, for each rendition its size in pixels
            and the SHA-256 of its files, and what it was made of.
        """
        contents = {
            f"{self.name}-{rendition}.{kind}": data
            for rendition in self.png
            for kind, data in (("png", self.png[rendition]), ("svg", self.svg[rendition]))
        }
        record: dict[str, Any] = {
            "name": self.name,
            "alt": self.alt,
            "caption": self.caption,
            "renditions": {
                rendition: {
                    "width": width,
                    "height": height,
                    "png_sha256": hashlib.sha256(self.png[rendition]).hexdigest(),
                    "svg_sha256": hashlib.sha256(self.svg[rendition]).hexdigest(),
                }
                for rendition, (width, height) in self.size.items()
            },
        }
        if self.made_of:
            record["made_of"] = self.made_of
        contents[f"{self.name}.json"] = (
            json.dumps(record, ensure_ascii=False, indent=1) + "\n"
        ).encode()
        for file, data in contents.items():
            write_atomic(folder / file, data)
        return [folder / file for file in contents]


def _kept(folder: Path, name: str, made_of: str) -> FigureSet | None:
    """Read a figure that was saved, if it is whole and made of the same."""
    try:
        record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        if record["made_of"] != made_of:
            return None
        told = record["renditions"]
        png, svg = (
            {rendition: (folder / f"{name}-{rendition}.{kind}").read_bytes() for rendition in told}
            for kind in ("png", "svg")
        )
        whole = all(
            hashlib.sha256(data[rendition]).hexdigest() == told[rendition][f"{kind}_sha256"]
            for kind, data in (("png", png), ("svg", svg))
            for rendition in told
        )
        size = {rendition: (known["width"], known["height"]) for rendition, known in told.items()}
        found = FigureSet(name, record["alt"], record["caption"], png, svg, size, made_of)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if whole else None


def render(
    draw: Callable[[Theme], Figure],
    *,
    name: str,
    alt: str,
    caption: str = "",
    made_of: str = "",
    kept: Path | None = None,
) -> FigureSet:
    """Draw a figure in all renditions.

    Parameters
    ----------
    draw
        Makes the figure of one rendition; called inside `helpers.style.style`.
    name
        Lower-case words joined by hyphens, such as ``"map-toretsk"``.
    alt, caption
        Alternative text (not empty), and caption.
    made_of
        Digest of all that the figure depends on, the code and its packages too; empty for unknown.
    kept
        A folder where the same figure may have been saved: then it is not drawn again.

    Returns
    -------
    FigureSet
        The bytes of all renditions.

    Raises
    ------
    ParameterError
        If the name cannot be a file's, the alternative text is empty, or a source line is missing
        on the figure.
    """
    if not _NAME.fullmatch(name):
        raise ParameterError(
            f"{name!r} cannot name a figure. Use lower-case letters, digits and hyphens, such as "
            "'map-toretsk'."
        )
    if not alt.strip():
        raise ParameterError(f"Figure {name!r} has no alternative text. Give `alt`.")
    known = _kept(kept, name, made_of) if kept and made_of else None
    if known:
        return known
    png, svg, size = {}, {}, {}
    with style():
        for theme in THEMES.values():
            figure = draw(theme)
            _check_source(figure, name)
            _unique_ids(figure)
            png[theme.name], size[theme.name] = _png(figure)
            svg[theme.name] = _svg(figure, alt)
    return FigureSet(name, alt, caption, png, svg, size, made_of)


def _check_source(figure: Figure, name: str) -> None:
    if not any(text.get_gid() == "source" and text.get_text() for text in figure.texts):
        raise ParameterError(
            f"Figure {name!r} names no source. Draw one with `helpers.style.source_line`."
        )


def _unique_ids(figure: Figure) -> None:
    """Number the artists that share a role, as ids of an SVG may not repeat: ``place.1``."""
    artists = [artist for artist in figure.findobj() if artist.get_gid()]
    shared = Counter(artist.get_gid() for artist in artists)
    seen: Counter[str | None] = Counter()
    for artist in artists:
        role = artist.get_gid()
        if shared[role] > 1:
            seen[role] += 1
            artist.set_gid(f"{role}.{seen[role]}")


def pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """Draw a figure: RGB, shape ``(height, width, 3)``."""
    return np.ascontiguousarray(_drawn(figure)[..., :3])


def _drawn(figure: Figure) -> npt.NDArray[np.uint8]:
    """Draw a figure: RGBA, as its canvas has it until it is drawn again."""
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def image(
    drawn: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8] | None = None
) -> Image.Image:
    """Make a picture of pixels, with a palette that keeps the theme's colours where that can be.

    Parameters
    ----------
    drawn
        Shape ``(height, width, 3)``; a fourth channel counts for nothing.
    palette
        Colours to use, shape ``(n, 3)``, n up to 256; None for those that suit the picture.
    """
    reduced = _to_palette(drawn, palette)
    if reduced is None:
        return Image.fromarray(np.ascontiguousarray(drawn[..., :3]))
    indices, palette = reduced
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    return picture


def _png(figure: Figure) -> tuple[bytes, tuple[int, int]]:
    picture = image(_drawn(figure))
    canvas: Any = figure.canvas
    canvas.forget()
    buffer = io.BytesIO()
    # Level 6 is 3 % smaller and takes half as long again.
    picture.save(buffer, "PNG", compress_level=5)
    return buffer.getvalue(), picture.size


def _to_palette(
    drawn: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8] | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """Reduce an image to few colours: the theme's, the most frequent, those far from all others.

    The colours of the areas stay exact, and the same in every figure: Pillow's own reductions shift
    them (white becomes #FCFCFC), and dithering would grain the flat tints. None for an image
    of too many colours.
    """
    shape = drawn.shape[:2]
    if drawn.shape[2] == 3:
        drawn = np.dstack([drawn, np.full(shape, 255, dtype=np.uint8)])
    packed = drawn.reshape(-1, 4).view(np.uint32).ravel()
    # Most pixels repeat their left neighbour: looking at the runs alone is several times as fast.
    starts = np.concatenate([[0], np.flatnonzero(packed[1:] != packed[:-1]) + 1])
    lengths = np.diff(starts, append=len(packed))
    # To red, green, blue from the highest byte on.
    runs = packed[starts].view(">u4").astype(np.uint32) >> 8
    inverse, colours = pd.factorize(runs, sort=True)
    if len(colours) > _MOST_COLOURS:
        return None
    # Whole numbers below 2^24 all along, so distances are exact in float32.
    parts = np.stack([colours >> 16 & 255, colours >> 8 & 255, colours & 255], axis=1)
    parts = parts.astype(np.float32)
    if palette is None:
        counts = np.bincount(inverse, weights=lengths)
        chosen, nearest = _chosen(parts, counts, np.isin(colours, _THEME_COLOURS))
        palette = parts[chosen].astype(np.uint8)
    else:
        # The nearest by |p - c|² = |p|² - 2 p·c + |c|².
        near = palette.astype(np.float32)
        distance = parts @ (-2 * near.T)
        distance += (near**2).sum(axis=1)
        nearest = distance.argmin(axis=1).astype(np.uint8)
    indices = np.repeat(nearest[inverse], lengths).reshape(shape)
    return indices, palette


def _chosen(
    parts: npt.NDArray[np.float32],
    counts: npt.NDArray[Any],
    themed: npt.NDArray[np.bool_],
) -> tuple[list[int], npt.NDArray[np.uint8]]:
    """Choose colours to keep, and tell which of them each colour becomes.

    After the theme's own and the most frequent, one after the other the colour that is worst off:
    by its distance from the nearest that is kept, and the square root of how much there is of it.
    So a rare colour is not given up because it is rare (Gonzalez 1985, with weights): of four times
    as many that are chosen by frequency alone the worst is farther off (tests/test_figures.py).
    """
    norms = (parts**2).sum(axis=1)
    distance = np.full(len(parts), np.inf, dtype=np.float32)
    nearest = np.zeros(len(parts), dtype=np.uint8)
    weight = np.sqrt(counts).astype(np.float32)
    # A stable sort makes ties repeatable.
    first = np.argsort(-(counts + themed * counts.sum()), kind="stable")
    first = first[: max(_FREQUENT, int(themed.sum()))][:_PALETTE]
    chosen: list[int] = []
    while len(chosen) < min(_PALETTE, len(parts)):
        following = len(chosen)
        new = int(first[following] if following < len(first) else (weight * distance).argmax())
        away = norms + norms[new] - 2 * (parts @ parts[new])
        nearer = away < distance
        distance[nearer], nearest[nearer] = away[nearer], following
        chosen.append(new)
    return chosen, nearest


def _svg(figure: Figure, alt: str) -> bytes:
    buffer = io.BytesIO()
    # With the hash salt of the style, a null date makes the file repeatable; each alone does not.
    metadata = {"Date": None, "Creator": "Frontline Notebooks", "Description": alt}
    write_svg(figure, buffer, metadata)
    return buffer.getvalue()
