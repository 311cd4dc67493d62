"""Words coloured by a neuron's activation, red over white to blue, as in the paper's figure 3.

Colour is not all: a bar above a word says that its value is positive, one below that it is
negative, and its height how large it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

LEVELS = 8  # steps of colour on either side of white
_WHITE, _RED, _BLUE = (255, 255, 255), (178, 24, 43), (33, 102, 172)
_DARK, _LIGHT = "#000", "#fff"
# Line and paragraph ends, what turns the direction of a text round, and what has no width: nobody
# would see these, but for what they do to the letters beside them.
_UNSEEN = (0x200B, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_CONTROL = {
    **{code: chr(0x2400 + code) for code in range(32)},
    127: "\N{SYMBOL FOR DELETE}",
    **{code: f"⟨U+{code:04X}⟩" for code in _UNSEEN},
}


def level(value: float, limit: float) -> int:
    """Step of the scale for a value, ``-LEVELS`` (blue) to ``LEVELS`` (red); 0 is white.

    Args:
        value: an activation.
        limit: the size of a value that has the full colour; beyond it nothing gets darker.

    >>> [level(value, 2.0) for value in (-5, -2, -0.1, 0.25, 1.0)]
    [-8, -8, 0, 1, 4]
    """
    if limit <= 0:
        return 0
    return round(LEVELS * max(-1.0, min(1.0, value / limit)))


def heat_css() -> str:
    """Style of the words: class ``h3`` for level 3, ``h-3`` for level -3."""
    rules = [
        ".w{position:relative;display:inline-block;padding:.15em .2em;margin:.2em .05em;"
        "border-radius:2px;font-style:normal;font-weight:400}",
        ".w::after{content:'';position:absolute;left:0;right:0;background:#111}",
    ]
    for step in range(-LEVELS, LEVELS + 1):
        colour = _mixed(_RED if step > 0 else _BLUE, abs(step) / LEVELS)
        # Where both show equally well, at (1 + 0.05) * 0.05, either has a contrast of 4.58.
        ink = _LIGHT if _luminance(colour) + 0.05 < (1.05 * 0.05) ** 0.5 else _DARK
        rules.append(f".h{step}{{background:rgb{colour};color:{ink}}}".replace(" ", ""))
        if step:
            side = "bottom:100%" if step > 0 else "top:100%"
            rules.append(f".h{step}::after{{{side};height:{abs(step) / LEVELS * 0.28:.3f}em}}")
    return "\n".join(rules)


def coloured_words(words: Sequence[str], values: Sequence[float], limit: float) -> Markup:
    """A sentence as HTML: one ``<i class="w h…" data-v="value">`` a word.

    Args:
        words: of the sentence, as plain text.
        values: the neuron's activation for each.
        limit: see `level`.
    """
    parts = [
        f'<i class="w h{level(value, limit)}" data-v="{value:+.3f}"><bdi>{escape(visible(word))}'
        "</bdi></i>"
        for word, value in zip(words, values, strict=True)
    ]
    return Markup(" ".join(parts))  # every word is escaped above


def visible(text: str) -> str:
    """Text with control characters, and what has no shape, as signs that stand for them."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if 0x7F < ord(letter) < 0xA0 or 0xD800 <= ord(letter) < 0xE000
        else letter
        for letter in text.translate(_CONTROL)
    )


def _mixed(colour: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    red, green, blue = (
        round(white + share * (full - white)) for white, full in zip(_WHITE, colour, strict=True)
    )
    return red, green, blue


def _luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance, 0 to 1 (WCAG 2)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
