"""Writes 1,500 drawings of a circle, a square or a triangle in one colour on white, 32×32 pixels.

The set on which docs/RESULTS.md shows `--gamma auto`: flat drawings need a much larger R1 weight
than photographs. Needs Pillow.

    python3 scripts/make_flat_shapes.py flat
"""

import os
import random
import sys

from PIL import Image, ImageDraw

COUNT, SIDE = 1500, 32
COLOURS = [
    (230, 40, 40),
    (40, 90, 220),
    (250, 210, 40),
    (40, 170, 80),
    (20, 20, 20),
    (255, 140, 0),
    (150, 60, 180),
]


def main(folder):
    os.makedirs(folder, exist_ok=True)
    random.seed(1)
    for i in range(COUNT):
        image = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
        draw = ImageDraw.Draw(image)
        colour, shape, r = random.choice(COLOURS), random.choice("crt"), random.randint(6, 12)
        x, y = random.randint(r, SIDE - r), random.randint(r, SIDE - r)
        box = [x - r, y - r, x + r, y + r]
        if shape == "c":
            draw.ellipse(box, fill=colour)
        elif shape == "r":
            draw.rectangle(box, fill=colour)
        else:
            draw.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
        image.save(os.path.join(folder, f"{i:04}.png"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_flat_shapes.py FOLDER")
    main(sys.argv[1])
