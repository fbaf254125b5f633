"""The place of a doubtful fact cut out of the picture of its page, for a person to look at."""

from __future__ import annotations

import io

from millrace.tasks.documents.pages import Box, Page

MARGIN = 0.6
"""Around the box, in heights of it: a person reads a value by what stands beside it."""
QUALITY = 70
WIDEST = 900
"""In pixels."""


def crop(page: Page, box: Box) -> bytes:
    """Returns a JPEG of a box on a page's preview, empty where the page has no preview or the
    preview cannot be decoded."""
    if not page.preview or box.width <= 0 or box.height <= 0:
        return b""
    from PIL import Image, UnidentifiedImageError

    scale = page.preview_scale
    around = MARGIN * min(box.height, 60.0)
    try:
        with Image.open(io.BytesIO(page.preview)) as picture:
            left = max(0, int((box.x0 - 2 * around) * scale))
            top = max(0, int((box.y0 - around) * scale))
            right = min(picture.width, int((box.x1 + 2 * around) * scale) + 1)
            bottom = min(picture.height, int((box.y1 + around) * scale) + 1)
            if right <= left or bottom <= top:
                return b""
            part = picture.crop((left, top, right, bottom))
            part.thumbnail((WIDEST, WIDEST))
            told = io.BytesIO()
            part.convert("L").save(told, "JPEG", quality=QUALITY)
    except (UnidentifiedImageError, OSError, ValueError):
        return b""
    return told.getvalue()
