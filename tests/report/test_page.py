"""The page in a real browser: nothing is wider than the screen, the console stays silent, the
filter works; and its colours can be read."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from colorfast.report import figures
from colorfast.report.claims import SYMBOLS
from colorfast.report.html import HOME
from helpers.run_folders import HOSTILE, experiment, html, make_run, mixed

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
PROBE = """<!doctype html><body><pre id="told"></pre><script>
const page = PAGE;
const open = (width) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 900px; border: 0`;
  frame.onload = () => done(frame.contentDocument);
  frame.srcdoc = page;
  document.body.append(frame);
});
(async () => {
  const told = { wide: {} };
  for (const width of [400, 1400]) {
    told.wide[width] = (await open(width)).documentElement.scrollWidth;
  }
  const shown = await open(1400);
  const form = shown.getElementById("filter");
  const pairs = [...shown.querySelectorAll("#replies .pair")];
  const left = () => pairs.filter((pair) => pair.getClientRects().length);
  const choose = (name, value) => {
    form.elements[name].value = value;
    form.dispatchEvent(new Event("input"));
  };
  if (form) {
    told.all = left().length;
    choose("trait", pairs[0].dataset.trait);
    told.trait = left().map((pair) => pair.dataset.trait);
    choose("arm", pairs[0].dataset.arm);
    told.both = left().map((pair) => [pair.dataset.trait, pair.dataset.arm]);
    choose("text", "no reply says this");
    told.none = left().length;
    told.said = form.querySelector("output").textContent;
    told.visible = !form.hidden;
  }
  document.getElementById("told").textContent = JSON.stringify(told);
})();
</script>"""


def looked_at(page: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """What a browser tells of a page, and what its console said."""
    probe = folder / "probe.html"
    probe.write_text(
        PROBE.replace("PAGE", json.dumps(page).replace("</", "<\\/").replace("<!--", "<\\!--"), 1),
        encoding="utf-8",
    )
    flags = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-extensions",
        "--no-first-run",
        f"--user-data-dir={folder / 'me'}",
    )
    told = ("--enable-logging=stderr", "--virtual-time-budget=9000", "--dump-dom", probe.as_uri())
    quiet = os.environ | {"DBUS_SESSION_BUS_ADDRESS": "disabled:"}
    ended = subprocess.run(
        [str(BROWSER), *flags, *told], capture_output=True, text=True, timeout=120, env=quiet
    )
    found = re.search(r'<pre id="told">(.+?)</pre>', ended.stdout, re.S)
    assert found, ended.stderr[-2000:]
    return json.loads(markup.unescape(found[1])), [
        line for line in ended.stderr.splitlines() if "CONSOLE" in line
    ]


@in_browser
def test_a_browser_shows_the_page_without_complaint_and_filters_the_replies(tmp_path: Path) -> None:
    told, console = looked_at(
        html(make_run(tmp_path, experiment(), mixed, reply=HOSTILE + "w" * 400)), tmp_path
    )
    assert console == []
    assert told["wide"] == {"400": 400, "1400": 1400}
    assert told["visible"] and 0 < len(told["both"]) < len(told["trait"]) < told["all"]
    assert len(set(told["trait"])) == 1 and len(set(map(tuple, told["both"]))) == 1
    assert told["none"] == 0 and told["said"] == f"0 of {told['all']} pairs"


@in_browser
def test_a_page_that_is_too_wide_or_runs_a_foreign_script_is_found_out(tmp_path: Path) -> None:
    page = html(make_run(tmp_path, experiment(), mixed))
    broken = page.replace(
        "</main>",
        '<p style="width: 900px">wide</p><script>document.title = "taken"</script></main>',
    )
    told, console = looked_at(broken, tmp_path)
    assert told["wide"]["400"] > 400
    assert any("Content Security Policy" in line for line in console)


def test_only_the_page_s_own_script_may_run_and_without_it_every_reply_is_there(
    tmp_path: Path,
) -> None:
    page = html(make_run(tmp_path, experiment(), mixed))
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    told = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(part.strip().split(" ", 1) for part in policy.replace("&#39;", "'").split(";"))
    assert (
        rules["default-src"] == "'none'"
        and rules["script-src"] == f"'sha256-{told}'"
        and rules["img-src"] == "data:"
    )
    still = page.replace(f"<script>{script}</script>", "")
    assert still.count('<details class="pair"') > 20 and 'class="pair" hidden' not in still
    assert re.search(r'<form class="filter"[^>]* hidden>', still)


def test_a_reader_of_the_screen_is_told_what_is_what(tmp_path: Path) -> None:
    page = html(make_run(tmp_path, experiment(), mixed))
    assert '<html lang="en">' in page
    assert all(
        'role="img"' in tag and re.search(r'aria-label="[^"]{20,}"', tag)
        for tag in re.findall(r"<svg [^>]*>", page)
    )
    assert all("scope=" in tag for tag in re.findall(r"<th\b[^>]*>", page))
    assert all(
        'aria-label="' in tag and "tabindex" in tag
        for tag in re.findall(r'<div class="box[^>]*>', page)
    )
    marks = re.findall(
        r'<span class="mark (\w+)"><span aria-hidden="true">(.)</span> ([a-z ]+)</span>', page
    )
    assert {
        word: (symbol, kind) for kind, symbol, word in marks
    }.items() <= SYMBOLS.items() and len(marks) > 14


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_and_marks_stand_out_from_the_page_in_light_in_dark_and_on_paper() -> None:
    style = (HOME / "style.css").read_text(encoding="utf-8")
    blocks = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    light, dark, paper = blocks
    for theme in (light, light | dark, light | paper):
        for name in ("ink", "soft", "up", "down", "link"):
            assert all(
                contrast(theme[name], theme[ground]) >= 4.5 for ground in ("paper", "shade")
            ), (name, theme[name])
        for name in [n for n in theme if n.startswith("arm")]:
            assert contrast(theme[name], theme["paper"]) >= 3, (name, theme[name])
    assert {name.removeprefix("--") for name in figures.THEME.values()} <= light.keys()
