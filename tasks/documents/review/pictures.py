"""A crop of a page in a terminal: two rows of pixels to a line of half blocks."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

_MOST_ROWS = 60


def blocks(jpeg: bytes, *, columns: int) -> str:
    """Returns a picture as text with colours for a terminal this wide; empty for no picture."""
    try:
        picture = Image.open(io.BytesIO(jpeg), formats=("JPEG", "PNG"))
        width = max(1, min(columns, picture.width))
        height = min(_MOST_ROWS, max(2, round(picture.height * width / picture.width)))
        pixels = picture.convert("RGB").resize((width, height + height % 2), Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return ""
    data = pixels.tobytes()

    def at(x: int, y: int) -> str:
        place = 3 * (y * width + x)
        return ";".join(map(str, data[place : place + 3]))

    rows = (
        "".join(f"\x1b[38;2;{at(x, y)}m\x1b[48;2;{at(x, y + 1)}m▀" for x in range(width))
        for y in range(0, pixels.height, 2)
    )
    return "\x1b[0m\n".join(rows) + "\x1b[0m"
