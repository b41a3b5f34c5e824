"""Pictures drawn by matplotlib."""

import warnings
from pathlib import Path
from typing import Any


def save_figure(figure: Any, path: Path, dpi: float = 120) -> None:
    """Write a figure as a PNG; characters that the font lacks are drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(path, dpi=dpi, format="png")
