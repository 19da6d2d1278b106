"""A page as a browser shows it."""

import json
import shutil
import subprocess
from pathlib import Path

from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def in_chromium(page: Path, folder: Path) -> tuple[str, Image.Image, list[str]]:
    """A page's document as text, its picture, and the addresses that it asked for (none is reachable)."""
    assert CHROMIUM is not None
    log, picture = folder / "log.json", folder / "picture.png"
    words = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    words += ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"]
    words += [f"--user-data-dir={folder}/profile", "--window-size=1200,5000"]
    words += [f"--log-net-log={log}", f"--screenshot={picture}", "--dump-dom", page.as_uri()]
    document = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120).stdout
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    # The browser's own errands (updates, time) have "not an origin".
    asked = [e["url"] for e in events if "url" in e and e.get("initiator", "not an origin") != "not an origin"]
    with Image.open(picture) as image:
        return document, image.convert("RGB"), asked
