"""The colours of every screen and report, light and dark; none carries a meaning alone (signs, words, dashes do too).

Roles and verdicts differ in lightness as well as hue, so that they stay apart for any colour vision: blue, green with
dashes and purple for the clips; orange-red, ochre and slate for the verdicts.
"""

LIGHT = {
    "bg": "#fafaf8",
    "panel": "#ffffff",
    "ink": "#1a1f24",
    "soft": "#59636e",
    "line": "#e2e5e7",
    "ground": "#f2f3f2",
    "target": "#0b68ab",
    "driver": "#007a56",
    "result": "#a02b77",
    "plain": "#414b55",
    "manipulated": "#b23c06",
    "inconclusive": "#7d5a00",
    "quiet": "#48586a",
    "trusted": "#0b5cab",
    "accent": "#0b5cab",
    "wash-m": "#fdece3",
    "wash-i": "#fdf3d7",
    "wash-q": "#eef1f4",
    "wash-t": "#e5f0fb",
}
DARK = {
    "bg": "#101316",
    "panel": "#171b1f",
    "ink": "#e6e9eb",
    "soft": "#9aa5af",
    "line": "#2b3238",
    "ground": "#1d2226",
    "target": "#62b5f2",
    "driver": "#42cf9f",
    "result": "#ee8cc6",
    "plain": "#b7c1ca",
    "manipulated": "#ff9459",
    "inconclusive": "#e7b93f",
    "quiet": "#a9b7c5",
    "trusted": "#74b8ff",
    "accent": "#2f7fd6",
    "wash-m": "#33201a",
    "wash-i": "#2e2816",
    "wash-q": "#20272d",
    "wash-t": "#182736",
}
PAPER = {**LIGHT, "bg": "#ffffff", "ink": "#000000", "soft": "#444444", "line": "#cccccc", "ground": "#f4f4f4"}


def variables(colours: dict[str, str], scheme: str) -> str:
    """The colours as custom properties for a CSS rule, with the browser's own controls in the same scheme."""
    return "".join(f"--{name}:{value};" for name, value in colours.items()) + f"color-scheme:{scheme}"


def page_css() -> str:
    """Rules that give a page the colours of the reader's system, of its ``data-theme``, and of paper."""
    light, dark, paper = variables(LIGHT, "light"), variables(DARK, "dark"), variables(PAPER, "light")
    return (
        f":root{{{light}}}@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f":root[data-theme=dark]{{{dark}}}"
        f"@media print{{:root,:root:not([data-theme=light]),:root[data-theme=dark]{{{paper}}}}}"
    )
