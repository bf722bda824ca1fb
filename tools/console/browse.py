#!/usr/bin/env python3
"""Opens the pages of the console in a browser while simulated teams use Socialize, and checks each.

usage: tools/console/browse.py LABORATORY [SCREENSHOTS]

LABORATORY is the program that runs the demo. SCREENSHOTS is a directory for one of each page. Each kind of page is
opened in both themes, on a telephone and on a wide screen, and checked: no violation of accessibility (axe-core), no request
to another origin, no violation of the content security policy, no error in the console of the browser, no text wider than
the screen. Each is opened without scripts as well.
"""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, sync_playwright

# Deadline for a page that shows the simulated teams, in seconds after the console's link. A quiet machine takes some ten.
SECONDS_TO_SHOW = 60
# Seconds until there are enough lines, traces and rates for every page.
SECONDS_OF_WORK = 60
# Number of opened pages of each kind. All `/traces/…` are one kind.
PAGES_OF_A_KIND = 1
THEMES = ["light", "dark"]
SCREENS = {"telephone": (360, 780), "desk": (1440, 900)}
WALL = (2560, 1440)
IDENTIFIER = re.compile(r"^([0-9a-f]{16,32}|[0-9a-f-]{36}|[0-9]+)$")

problems = []


def problem(page, text):
    problems.append(f"{page}: {text}")
    print(f"PROBLEM {page}: {text}", flush=True)


class Demo:
    """Socialize with simulated teams and its console."""

    def __init__(self, laboratory):
        self.directory = tempfile.TemporaryDirectory()
        # The operating system's user for Postgres must be able to enter it.
        Path(self.directory.name).chmod(0o711)
        self.output = open(f"{self.directory.name}/output", "w+b")
        free = [part for flag in ["", "operations-", "console-"] for part in (f"--{flag}listen", "127.0.0.1:0")]
        self.process = subprocess.Popen(
            [laboratory, "demo", "--plain", "--rate", "30", "--data-directory", f"{self.directory.name}/data", *free],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )

    def text(self):
        return Path(self.output.name).read_text(errors="replace")

    def link(self):
        """Waits for the link that opens the console."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if found := re.search(r"^console +(http\S+)", self.text(), re.MULTILINE):
                return found[1]
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"error: the demo printed no link of the console:\n{self.text()}")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(timeout=120)
        if status != 0:
            problem("the demo", f"ended with {status}:\n{self.text()[-3000:]}")
        self.directory.cleanup()


def kind(address):
    """The path without names, identifiers and its query, so that pages of one kind are the same."""
    parts = [part if not IDENTIFIER.match(part) else "…" for part in urlsplit(address).path.split("/")]
    # /alerts/NAME, and /dashboards/NAME/PANEL.
    if parts[1:2] == ["alerts"] and len(parts) > 2 or parts[1:2] == ["dashboards"] and len(parts) > 3:
        parts[2] = "…"
    return "/".join(parts) or "/"


def pages(context, start):
    """Follows links from the first page, one page of each kind."""
    origin, queue, seen, found = origin_of(start), [start], Counter(), {}
    page = context.new_page()
    while queue:
        address = queue.pop(0)
        name = kind(address)
        if seen[name] >= PAGES_OF_A_KIND or "/assets/" in name or name.endswith("/tail"):
            continue
        response = page.goto(address, wait_until="load")
        seen[name] += 1
        if response.status != 200:
            problem(address, f"is linked and answers {response.status}")
            continue
        found[name] = address
        links = page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
        for link in links:
            target = urljoin(page.url, link).split("#")[0]
            if origin_of(target) != origin:
                # External links are allowed, but not followed.
                continue
            queue.append(target)
    page.close()
    return found


def origin_of(address):
    parts = urlsplit(address)
    return parts.scheme, parts.netloc


def watch(page, name, origin):
    """Reports what a page requests from elsewhere, and errors that the browser tells."""

    def requested(request):
        if origin_of(request.url) != origin and not request.url.startswith("data:"):
            problem(name, f"requests {request.url}")

    def said(message):
        if message.type in ("error", "warning"):
            problem(name, f"the browser says: {message.text}")

    page.on("request", requested)
    page.on("console", said)
    page.on("pageerror", lambda error: problem(name, f"a script fails: {error}"))


def check(browser, storage, name, address, screenshots):
    origin = origin_of(address)
    for theme in THEMES:
        screens = SCREENS if theme != THEMES[0] else SCREENS | {"wall": WALL}
        for screen, (width, height) in screens.items():
            label = f"{name} ({theme}, {screen})"
            context = browser.new_context(
                storage_state=storage, color_scheme=theme, viewport={"width": width, "height": height}, reduced_motion="reduce"
            )
            page = context.new_page()
            watch(page, label, origin)
            page.goto(address, wait_until="load")
            too_wide = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
            if too_wide > 0:
                problem(label, f"is {too_wide} pixels wider than the screen")
            for violation in Axe().run(page).response["violations"]:
                nodes = ", ".join(" ".join(map(str, node["target"])) for node in violation["nodes"][:4])
                problem(label, f"{violation['id']} ({violation['impact']}): {violation['help']}: {nodes}")
            if screenshots and screen != "wall":
                file = f"{name.strip('/').replace('/', '-').replace('…', 'one') or 'overview'}-{theme}-{screen}.png"
                page.screenshot(path=screenshots / file, full_page=True)
            context.close()
    plain = browser.new_context(storage_state=storage, java_script_enabled=False)
    page = plain.new_page()
    page.goto(address, wait_until="load")
    if not page.locator("main").inner_text().strip():
        problem(name, "is empty without scripts")
    plain.close()


def browse(demo, screenshots):
    link = demo.link()
    started = time.monotonic()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context()
        page = context.new_page()
        page.goto(link)
        if "token" in page.url:
            problem("the link", "the token stays in the address")
        home = page.url
        # Rates need two exports; before, a panel says that there is no data.
        while "/s" not in page.locator("main").inner_text():
            if time.monotonic() > started + SECONDS_TO_SHOW:
                problem("the overview", f"shows nobody at work after {SECONDS_TO_SHOW} s")
                break
            time.sleep(0.5)
            page.reload()
        print(f"The overview shows the teams after {time.monotonic() - started:.1f} s.", flush=True)
        page.close()
        time.sleep(max(0, SECONDS_OF_WORK - (time.monotonic() - started)))
        storage = context.storage_state()
        found = pages(context, home)
        print(f"{len(found)} kinds of pages: {', '.join(found)}", flush=True)
        for name, address in found.items():
            check(browser, storage, name, address, screenshots)
        browser.close()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    screenshots = Path(sys.argv[2]) if len(sys.argv) == 3 else None
    if screenshots:
        screenshots.mkdir(parents=True, exist_ok=True)
    demo = Demo(sys.argv[1])
    try:
        browse(demo, screenshots)
    except Error as error:
        problem("the browser", str(error))
    finally:
        if demo.process.poll() is None:
            demo.end()
    if problems:
        sys.exit(f"{len(problems)} problems.")
    print("Every page keeps its promises.")


if __name__ == "__main__":
    main()
