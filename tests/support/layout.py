"""How a page lies on screens of several widths, and on paper: what sticks out of it, in Chromium."""

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from support.chromium import CHROMIUM

PAPER = 1032
"""Width in CSS pixels of what `@page` in page.css leaves of A4: 297 mm less two margins of 12 mm."""
_PROBE = """
const found = [];
const sees = document.documentElement.clientWidth;
for (const e of document.querySelectorAll("body *")) {
  const box = e.getBoundingClientRect();
  if (!box.width || e.parentElement.closest(".scroll")) continue;
  if (box.right > sees + 1) found.push(e.tagName + ": " + e.textContent.trim().slice(0, 60));
}
const silent = [], rolls = [];
for (const e of document.querySelectorAll(".scroll")) {
  if (e.scrollWidth <= e.clientWidth + 1) continue;
  rolls.push(e.textContent.trim().slice(0, 60));
  if (!e.querySelector(".hint")?.offsetHeight) silent.push(e.textContent.trim().slice(0, 60));
}
const style = getComputedStyle(document.body);
parent.report(name, {outside: found, silent: silent, scrolls: rolls, ink: style.color, ground: style.backgroundColor});
"""


def layout(page: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """By frame (390, 1400, paper, dark): texts `outside` of the page, what `scrolls`, what is `silent` on it, colours.

    The page is shown in frames, since a window of Chromium is not made narrower than some 500 pixels. Paper is a frame
    as wide as the sheet, in which the styles for print hold; in the last frame those for a dark screen do.
    """
    assert CHROMIUM is not None
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    text = text.replace("</body>", f"<script>addEventListener('load', () => {{{_PROBE}}})</script></body>")
    printed = text.replace("@media print", "@media all").replace("@media screen", "@media speech")
    dark = text.replace("(prefers-color-scheme: dark)", "(min-width: 0)")
    frames = "".join(
        f'<iframe name="{name}" style="width:{width}px; height:900px; border:0" srcdoc="{html.escape(of)}"></iframe>'
        for name, width, of in (
            ("390", 390, text),
            ("1400", 1400, text),
            ("paper", PAPER, printed),
            ("dark", 1400, dark),
        )
    )
    collect = "const all = {}; function report(n, v) { all[n] = v; document.title = JSON.stringify(all); }"
    wrapper = folder / "frames.html"
    wrapper.write_text(f"<!doctype html><meta charset=utf-8><title></title><script>{collect}</script>{frames}")
    words = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
    words += ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1500,2000"]
    words += [f"--user-data-dir={folder}/layout", "--blink-settings=preferredColorScheme=1"]
    dumped = subprocess.run(
        [*words, "--virtual-time-budget=5000", "--dump-dom", wrapper.as_uri()],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", dumped, re.S)
    assert title is not None
    found: dict[str, dict[str, Any]] = json.loads(html.unescape(title[1]))
    assert set(found) == {"390", "1400", "paper", "dark"}
    return found


def assert_readable(page: Path, folder: Path) -> None:
    """Nothing sticks out on any screen or on paper, what scrolls says so, and a dark screen gets a dark page."""
    found = layout(page, folder)
    for name, frame in found.items():
        assert frame["outside"] == [], f"{page.name} at {name}"
        assert frame["silent"] == [], f"{page.name} at {name} scrolls and does not say so"
        assert name == "390" or frame["scrolls"] == [], f"{page.name} at {name} is cut off"
    ink, ground = (sum(map(int, re.findall(r"\d+", found["dark"][key])[:3])) for key in ("ink", "ground"))
    assert ink > 600 > 200 > ground, f"{page.name} is not dark on a dark screen"
