#!/usr/bin/env python3
"""Write src/language/html_entities.txt: the named character references of HTML 5, each with its characters in hexadecimal."""

from html.entities import html5
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "src" / "language" / "html_entities.txt"

lines = [" ".join([name, *(f"{ord(c):x}" for c in characters)]) for name, characters in sorted(html5.items())]
OUT.write_text("\n".join(lines) + "\n")
