"""The page in Chromium against a server of cifar10: `serve_page.py HTTP-ADDRESS GRPC-ADDRESS PICTURE [FOLDER]`.

Writes pictures of the page to FOLDER, if there is one. Without Chromium says so and does nothing.
"""

import base64
import random
import re
import shutil
import struct
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

address, _, picture = sys.argv[1:4]
pictures = Path(sys.argv[4]) if len(sys.argv) > 4 else None

DESKTOP, PHONE, NARROW = ({"width": width, "height": height} for width, height in [(1200, 900), (390, 844), (320, 640)])

# A file in a `DataTransfer`, as it is dropped or pasted.
TRANSFER = """([base64, type]) => {
  const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0)), transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "picture", { type }));
  return transfer;
}"""

# Contrast of text with what is behind it, by the formula of WCAG, of each element that has text.
CONTRASTS = """() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = numbers(colour).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const colour = getComputedStyle(element).backgroundColor;
    return numbers(colour)[3] === 0 ? behind(element.parentElement) : colour;
  };
  const texts = [...document.querySelectorAll("body *")].filter(element => element.checkVisibility()
    && !["SCRIPT", "STYLE"].includes(element.tagName) && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return texts.map(element => {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
    return [element.textContent, (a + 0.05) / (b + 0.05)];
  });
}"""


class Visit:
    """A browser's page, and what it does that it should not."""

    def __init__(self, browser, viewport, scheme):
        self.context = browser.new_context(viewport=viewport, color_scheme=scheme, has_touch=viewport is not DESKTOP)
        self.page, self.troubles = self.context.new_page(), []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self.requested)
        self.page.goto(f"http://{address}/")
        expect(self.page.locator("#card")).to_contain_text("airplane")

    def requested(self, request):
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.netloc != address:
            self.troubles.append(f"it asks {request.url}")

    def is_answered(self):
        """The answer is there: classes, the map, and what a screen reader says."""
        page = self.page
        expect(page.get_by_role("status")).to_have_text(re.compile(r"^\w+, [\d.]+ %, in \d+ ms$"))
        label = page.get_by_role("status").inner_text().split(",")[0]
        expect(page.get_by_role("listitem")).to_have_count(5)
        expect(page.get_by_role("listitem").first).to_contain_text(label)
        expect(page.get_by_role("img", name=f"The picture, {label}")).to_be_visible()
        expect(page.get_by_role("checkbox", name=f"What speaks for {label}")).to_be_checked()

    def drawing(self):
        return self.page.evaluate("document.getElementById('picture').toDataURL()")

    def fits(self, what):
        """Nothing is wider than the window, text is legible, and nothing else went wrong."""
        width, window = self.page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
        assert width <= window, f"{what}: {width} pixels wide in a window of {window}"
        faint = [(text, round(ratio, 2)) for text, ratio in self.page.evaluate(CONTRASTS) if ratio < 4.5]
        assert not faint, f"{what}: {faint}"
        assert not self.troubles, f"{what}: {self.troubles}"
        if pictures:
            self.page.screenshot(path=pictures / f"{what}.png", full_page=True)


def by_keyboard(visit):
    """Chooses a picture, and turns its map off and on, without a pointer."""
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(picture)
    visit.is_answered()
    mapped = visit.drawing()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "mapped"
    page.keyboard.press("Space")
    plain = visit.drawing()
    assert plain != mapped, "the map is not drawn"
    page.keyboard.press("Space")
    assert visit.drawing() == mapped


def by_event(visit, name, file, kind):
    """Drops or pastes a file."""
    transfer = visit.page.evaluate_handle(TRANSFER, [base64.b64encode(file).decode(), kind])
    make = {
        "drop": "transfer => dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, cancelable: true }))",
        "paste": "transfer => dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer }))",
    }
    visit.page.evaluate(make[name], transfer)


def noise():
    """A picture of 32x32 as BMP that is unlike all that are trained on."""
    pixels = random.Random(0).randbytes(3 * 32 * 32)
    header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54 + len(pixels), 0, 54, 40, 32, 32, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    return header + pixels


def main():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        print("skipped: no chromium")
        return
    file = Path(picture).read_bytes()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        visit = Visit(browser, DESKTOP, "light")
        by_keyboard(visit)
        visit.fits("light")
        for how in ("drop", "paste"):
            visit = Visit(browser, DESKTOP, "dark")
            by_event(visit, how, file, "image/jpeg")
            visit.is_answered()
        expect(visit.page.get_by_role("note")).to_be_hidden()
        visit.fits("dark")
        for viewport, scheme in [(DESKTOP, "light"), (PHONE, "dark")]:
            visit = Visit(browser, viewport, scheme)
            by_event(visit, "drop", noise(), "image/bmp")
            expect(visit.page.get_by_role("status")).to_contain_text("; unlike the training pictures")
            expect(visit.page.get_by_role("note")).to_contain_text(re.compile(r"unlike .*: [\d.]+ times as far"))
            visit.fits(f"unlike-{scheme}")
        for name, viewport in [("phone", PHONE), ("narrow", NARROW)]:
            visit = Visit(browser, viewport, "light")
            visit.fits(f"{name}-empty")
            with visit.page.expect_file_chooser() as chooser:
                visit.page.get_by_text("Choose or photograph a picture").tap()
            chooser.value.set_files(picture)
            visit.is_answered()
            visit.fits(name)
        visit = Visit(browser, PHONE, "dark")
        by_event(visit, "drop", file, "image/jpeg")
        visit.is_answered()
        by_event(visit, "drop", b"no picture", "text/plain")
        expect(visit.page.get_by_role("status")).to_contain_text("not a picture")
        expect(visit.page.locator("#result")).to_be_hidden()
        # A browser says itself, too, that the server has refused something.
        visit.troubles = [trouble for trouble in visit.troubles if "status of 400" not in trouble]
        visit.fits("refused")
        browser.close()
    print("ok")


main()
