"""Draw the text and line art that `train_luma_x2.py` learns from beside photographs.

A script outside the product's import graph. On Debian 12:

    apt-get install python3-pil fonts-dejavu fonts-liberation
    /usr/bin/python3 draw_pictures.py FOLDER

The pictures are ours: seeded shapes and random letters. The fonts only lend their outlines.
"""

import argparse
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONTS = Path("/usr/share/fonts/truetype")
FAMILIES = ("dejavu", "liberation")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;-+()/&%?!  "
SIDE = 768  # pixels
OVERSAMPLING = 3  # drawn larger and reduced, so that edges are smooth


def colour(chance: random.Random) -> tuple[int, ...]:
    """Returns an RGB colour, more often than not with channels at their ends."""
    return tuple(chance.choice((0, 255, chance.randrange(256))) for _ in range(3))


def draw_shape(draw: ImageDraw.ImageDraw, chance: random.Random) -> None:
    """Draws one line, arc, ellipse or triangle."""
    big = OVERSAMPLING * SIDE
    x, y = chance.randrange(big), chance.randrange(big)
    far = (x + chance.randrange(20, 700), y + chance.randrange(20, 700))
    thick, paint = chance.randrange(2, 24), colour(chance)
    match chance.randrange(4):
        case 0:
            draw.line((x, y, *far), fill=paint, width=thick)
        case 1:
            turns = chance.randrange(360), chance.randrange(360)
            draw.arc((x, y, *far), *turns, fill=paint, width=thick)
        case 2:
            draw.ellipse((x, y, *far), fill=paint, outline=colour(chance), width=thick)
        case _:
            third = (x + chance.randrange(-300, 300), y + chance.randrange(-300, 300))
            draw.polygon([third, (x, y), far], fill=paint)


def draw_text(draw: ImageDraw.ImageDraw, chance: random.Random, fonts: list[Path]) -> None:
    """Draws one line of random letters."""
    font = ImageFont.truetype(str(chance.choice(fonts)), chance.randrange(24, 150))
    text = "".join(chance.choices(LETTERS, k=chance.randrange(6, 40)))
    place = (chance.randrange(-200, OVERSAMPLING * SIDE), chance.randrange(OVERSAMPLING * SIDE))
    draw.text(place, text, font=font, fill=colour(chance))


def picture(chance: random.Random, fonts: list[Path]) -> Image.Image:
    """Returns one square picture of shapes under text."""
    big = OVERSAMPLING * SIDE
    image = Image.new("RGB", (big, big), colour(chance))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        draw_shape(draw, chance)
    for _ in range(70):
        draw_text(draw, chance, fonts)
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def main() -> None:
    """Draws the pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fonts = sorted(path for name in FAMILIES for path in (FONTS / name).glob("*.ttf"))
    if not fonts:
        raise SystemExit(f"No fonts in {FONTS}: apt-get install fonts-dejavu fonts-liberation")
    chance = random.Random(options.seed)  # noqa: S311 - reproducible pictures, no secrets
    options.folder.mkdir(parents=True, exist_ok=True)
    for number in range(options.count):
        picture(chance, fonts).save(options.folder / f"drawing_{number:02}.png")


if __name__ == "__main__":
    main()
