"""The themes on offer: two of our own, one without colours, one of the terminal's palette, and Textual's.

Whether there are colours is decided once, before the app is made: Textual chooses its colour filters in `App.__init__`, and an
ANSI theme that is switched on later, under NO_COLOR, paints black on black.
Colours never carry a meaning alone: every status has its glyph and its word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.theme import Theme

DARK = "syncterm-dark"
LIGHT = "syncterm-light"
MONO = "mono"

OTHER_THEMES = (
    "ansi-dark",
    "ansi-light",
    "atom-one-dark",
    "atom-one-light",
    "catppuccin-frappe",
    "catppuccin-latte",
    "catppuccin-macchiato",
    "catppuccin-mocha",
    "dracula",
    "flexoki",
    "gruvbox",
    "monokai",
    "nord",
    "rose-pine",
    "rose-pine-dawn",
    "rose-pine-moon",
    "solarized-dark",
    "solarized-light",
    "textual-dark",
    "textual-light",
    "tokyo-night",
)
THEME_NAMES = (DARK, LIGHT, MONO, *OTHER_THEMES)
"""Every theme a configuration may name, ours first."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """What is decided about colour and glyphs before the app exists."""

    theme: str
    colours: bool
    """False under NO_COLOR: then nothing but the terminal's own two colours, bold, dim and reverse is used."""
    ascii: bool

    @property
    def choices(self) -> tuple[str, ...]:
        """The themes that can be picked while the app runs."""
        return THEME_NAMES if self.colours else (MONO,)


def appearance(theme: str, *, ascii: bool, environ: Mapping[str, str]) -> Appearance:  # noqa: A002
    """Decide the first theme and the glyphs from the wish and the environment (NO_COLOR, LC_ALL, LC_CTYPE, LANG, TERM)."""
    colours = "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
    if not colours:
        theme = MONO
    elif theme not in THEME_NAMES:
        theme = DARK
    return Appearance(theme, colours, ascii or not utf8(environ))


def utf8(environ: Mapping[str, str]) -> bool:
    """Whether the locale's characters are UTF-8. No locale at all (common over SSH) says nothing; terminals today show UTF-8."""
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    return not locale or "utf8" in locale.lower().replace("-", "")


def own_themes() -> tuple[Theme, ...]:
    """The themes that Textual does not bring."""
    from textual.theme import Theme

    return (
        Theme(
            name=DARK,
            dark=True,
            primary="#7aa2f7",
            secondary="#73b8c9",
            accent="#c4a7e7",
            warning="#e0af68",
            error="#f2798f",
            success="#86c48b",
            foreground="#c9d1de",
            background="#11141b",
            surface="#161a23",
            panel="#1e2430",
            variables={
                "block-cursor-background": "#2d3a55",
                "block-cursor-foreground": "#f0f4fb",
                "block-cursor-text-style": "none",
                "scrollbar": "#2a3242",
                "scrollbar-hover": "#3a455c",
                "scrollbar-active": "#4a5875",
                "scrollbar-background": "#161a23",
                "scrollbar-background-hover": "#161a23",
                "scrollbar-background-active": "#161a23",
                "input-selection-background": "#7aa2f7 35%",
            },
        ),
        Theme(
            name=LIGHT,
            dark=False,
            primary="#2b5fc7",
            secondary="#1d7484",
            accent="#7a4fb3",
            warning="#8f5b00",
            error="#b3263d",
            success="#2c7a3a",
            foreground="#262b36",
            background="#fbfbf9",
            surface="#f4f4f1",
            panel="#e9e9e4",
            variables={
                "block-cursor-background": "#cfdcf5",
                "block-cursor-foreground": "#10151f",
                "block-cursor-text-style": "none",
                "scrollbar": "#cfcfc8",
                "scrollbar-hover": "#b9b9b1",
                "scrollbar-active": "#a3a39b",
                "scrollbar-background": "#f4f4f1",
                "scrollbar-background-hover": "#f4f4f1",
                "scrollbar-background-active": "#f4f4f1",
            },
        ),
        Theme(
            name=MONO,
            ansi=True,
            dark=True,
            primary="ansi_default",
            secondary="ansi_default",
            accent="ansi_default",
            warning="ansi_default",
            error="ansi_default",
            success="ansi_default",
            foreground="ansi_default",
            background="ansi_default",
            surface="ansi_default",
            panel="ansi_default",
            boost="ansi_default",
            variables={
                "ansi-background": "ansi_default",
                "ansi-foreground": "ansi_default",
                "border": "ansi_default",
                "border-blurred": "ansi_default",
                "block-cursor-foreground": "ansi_default",
                "block-cursor-background": "ansi_default",
                "block-cursor-text-style": "reverse",
                "block-cursor-blurred-text-style": "reverse",
                "input-cursor-background": "ansi_default",
                "input-cursor-foreground": "ansi_default",
                "input-cursor-text-style": "reverse",
                "input-selection-background": "ansi_default",
                "input-selection-foreground": "ansi_default",
                "screen-selection-background": "ansi_default",
                "screen-selection-foreground": "ansi_default",
            },
        ),
    )
