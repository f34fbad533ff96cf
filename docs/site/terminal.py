#!/usr/bin/env python3
"""Pictures of the terminal for the documents, from real runs: terminal.py PENSTOCK OUT.

A chat and `penstock top` run in tmux, with real models; what stands on the screen becomes
an SVG, by rich. Needs tmux and, in this Python, rich."""

import io
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PORT = 8097
SERVER = f"http://127.0.0.1:{PORT}"
QUESTION = "Which HTTP status codes say that a client should try again later? A table of three, then one curl command that retries."

# The usual sixteen colours, on a dark ground.
THEME = TerminalTheme(
    (24, 26, 31), (208, 212, 220),
    [(24, 26, 31), (224, 108, 117), (126, 190, 105), (214, 170, 92), (97, 160, 239), (198, 120, 221), (86, 182, 194), (200, 204, 212)],
    [(110, 118, 132), (240, 130, 138), (152, 211, 130), (235, 198, 120), (130, 184, 250), (214, 150, 234), (110, 205, 216), (255, 255, 255)])

# rich's own format, without a font that a viewer would have to fetch.
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: {char_height}px; line-height: {line_height}px; white-space: pre; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
<rect y="32" width="{width}" height="100%" fill="#181a1f"/>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""

BAR = 32


def tmux(*words):
    return subprocess.run(["tmux", "-L", "penstock-pictures", *words], check=True, capture_output=True, text=True).stdout


class Screen:
    """A terminal in which a command runs."""

    def __init__(self, width, height, command, **environment):
        settings = [w for k, v in environment.items() for w in ("-e", f"{k}={v}")]
        tmux("new-session", "-d", "-x", str(width), "-y", str(height), "-s", "picture", *settings, command)
        self.width = width

    def until(self, text, seconds=300):
        """Waits until a text is on the screen."""
        end = time.time() + seconds
        while text not in tmux("capture-pane", "-p", "-t", "picture"):
            if time.time() > end:
                sys.exit(f"{text!r} does not come:\n" + tmux("capture-pane", "-p", "-t", "picture"))
            time.sleep(0.2)

    def type(self, *keys):
        tmux("send-keys", "-t", "picture", *keys)

    def picture(self, path):
        """Writes what is on the screen."""
        rows = tmux("capture-pane", "-p", "-e", "-t", "picture").rstrip("\n").split("\n")
        console = Console(record=True, width=self.width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        for row in rows:
            console.print(Text.from_ansi(row), no_wrap=True, crop=True)
        svg = console.export_svg(theme=THEME, code_format=FORMAT, unique_id="t")
        # rich leaves room for the bar of a window, which is not drawn.
        width, height = re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups()
        svg = svg.replace(f'viewBox="0 0 {width} {height}"', f'viewBox="0 {BAR} {width} {float(height) - BAR:g}"')
        with open(path, "w") as f:
            f.write(svg)
        print(f"{path}: {len(rows)} rows")

    def close(self):
        tmux("kill-session", "-t", "picture")


def chat(penstock, out, state):
    screen = Screen(84, 46, f"{penstock} run --local --temperature 0 qwen2.5-coder:1.5b", XDG_STATE_HOME=state)
    screen.until(">>>")
    screen.type(QUESTION, "Enter")
    wait_idle(screen)
    screen.picture(os.path.join(out, "terminal.svg"))
    screen.close()


def wait_idle(screen, seconds=300):
    """Waits until the screen has not changed for eight seconds."""
    before, since, end = "", time.time(), time.time() + seconds
    while time.time() - since < 8 and time.time() < end:
        now = tmux("capture-pane", "-p", "-t", "picture")
        if now != before:
            before, since = now, time.time()
        time.sleep(0.2)


def top(penstock, out):
    server = subprocess.Popen([penstock, "serve", "smollm2", "--port", str(PORT), "--ctx", "2048", "--max-batch", "16"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(SERVER + "/readyz", timeout=1)
                break
            except OSError:
                time.sleep(0.2)
        load = subprocess.Popen([penstock, "bench", "load", "--url", SERVER, "--concurrency", "12", "--requests", "100000", "--prefix-words", "60", "--gen", "120"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            screen = Screen(84, 26, f"{penstock} top {SERVER}")
            time.sleep(45)
            screen.picture(os.path.join(out, "top.svg"))
            screen.close()
        finally:
            load.kill()
    finally:
        server.terminate()
        server.wait()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    penstock, out = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as state:
        chat(penstock, out, state)
    top(penstock, out)


main()
