"""CLIP's tokenizer, as its authors describe it: ftfy, HTML, and byte pairs with a list of merges."""

import gzip
import html
from collections import Counter

import ftfy
import regex

HEADER = '"clip_test.txt#version: 0.2'
PIECES = regex.compile(
    r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""", regex.IGNORECASE
)
CORPUS = """a red bird with black wings and a yellow belly sits on the branch. the bird's bill isn't long; it's blue and small.
they're yellow birds, we've seen them. a photo of a bird in black and white 🐦🐦 café naïve 鳥は赤い"""


def byte_symbols():
    """{byte: character}: printable bytes stand for themselves, the others for characters from 256 on."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in printed]
    return {b: chr(b) for b in printed} | {b: chr(256 + i) for i, b in enumerate(others)}


SYMBOLS = byte_symbols()


def cleaned(text):
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return regex.sub(r"\s+", " ", text).strip().lower()


def pieces(text):
    return ["".join(SYMBOLS[b] for b in piece.encode()) for piece in PIECES.findall(cleaned(text))]


def split(word):
    return [*word[:-1], word[-1] + "</w>"]


def merged(symbols, pair):
    out, at = [], 0
    while at < len(symbols):
        if tuple(symbols[at : at + 2]) == pair:
            out.append("".join(pair))
            at += 2
        else:
            out.append(symbols[at])
            at += 1
    return out


def learn(count):
    """`count` merges of the most frequent pairs of the corpus; of several, the first in order."""
    words, merges = Counter(tuple(split(piece)) for piece in pieces(CORPUS)), []
    while len(merges) < count:
        pairs = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        again = Counter()
        for word, n in words.items():
            again[tuple(merged(list(word), best))] += n
        words = again
    return merges


class Tokenizer:
    def __init__(self, merges):
        vocabulary = list(SYMBOLS.values())
        vocabulary += [v + "</w>" for v in vocabulary]
        vocabulary += ["".join(pair) for pair in merges] + ["<|startoftext|>", "<|endoftext|>"]
        assert len(set(vocabulary)) == len(vocabulary)
        self.ids = {token: i for i, token in enumerate(vocabulary)}
        self.ranks = {pair: i for i, pair in enumerate(merges)}

    @classmethod
    def of_file(cls, path, count):
        """The first `count` merges of a published list."""
        lines = gzip.open(path).read().decode().split("\n")[1 : count + 1]
        return cls([tuple(line.split()) for line in lines])

    def word(self, piece):
        symbols = split(piece)
        while True:
            pairs = [pair for pair in zip(symbols, symbols[1:]) if pair in self.ranks]
            if not pairs:
                return symbols
            symbols = merged(symbols, min(pairs, key=self.ranks.get))

    def encode(self, text):
        ids = []
        for piece in pieces(text):
            ids += [self.ids[piece]] if piece in ("<|startoftext|>", "<|endoftext|>") else [self.ids[s] for s in self.word(piece)]
        return ids

    def batch(self, texts, context):
        """Lists of `context` ids, padded with 0; texts that are too long are cut before the mark of the end."""
        start, end = self.ids["<|startoftext|>"], self.ids["<|endoftext|>"]
        rows = [[start, *self.encode(text)][: context - 1] + [end] for text in texts]
        return [row + [0] * (context - len(row)) for row in rows]


def file_of(merges):
    """A compressed list of merges, the same bytes every time."""
    text = "\n".join([HEADER, *(" ".join(pair) for pair in merges)]) + "\n"
    return gzip.compress(text.encode(), mtime=0)
