"""Take the pictures of the page that the documentation shows.

    python tools/page_pictures.py WORKSPACE/leaderboard [--out docs/images]

The page is that of ``run --all --suite demo``. A Chromium of the system draws it.
"""

from __future__ import annotations

import argparse
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

BREAST = "organism=human&tissue=breast+cancer&budget=cpu"


@dataclass(frozen=True)
class Picture:
    """A view of the page, what is clicked and looked for there, and the size of the window."""

    name: str
    view: str = ""
    width: int = 1280
    height: int = 1000
    click: str = ""
    gene: str = ""
    dark: bool = False


PICTURES = (
    Picture("leaderboard.png", height=1240),
    Picture("leaderboard-breast.webp", f"#table?{BREAST}", height=1120),
    Picture(
        "leaderboard-method.webp", f"#table?{BREAST}", height=960, click="text=What it is, and how"
    ),
    Picture(
        "leaderboard-map.webp",
        f"#table?{BREAST}",
        height=1100,
        click="text=Maps of its genes",
        gene="ERBB2",
    ),
    Picture("leaderboard-dataset.webp", "#dataset/her2st_demo"),
    Picture("leaderboard-figures.webp", "#figures", height=1150),
    Picture("leaderboard-phone.webp", width=390, height=1700, dark=True),
)


def taken(page: Page, address: str, picture: Picture) -> Image.Image:
    """Return what a window shows once all of it is drawn."""
    page.goto(address)
    page.wait_for_function("document.documentElement.dataset.ready")
    if picture.click:
        page.click(picture.click)
    if picture.gene:
        page.fill("#gene", picture.gene)
        page.press("#gene", "Enter")
    page.wait_for_timeout(1_000)  # plots are drawn after the texts
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def save(image: Image.Image, path: Path) -> None:
    """Save a picture in the form that its name says, small."""
    if path.suffix == ".png":
        image.quantize(128).save(path, optimize=True)
    else:
        image.save(path, quality=80, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("page", type=Path, help="the folder of the page")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    chosen = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for picture in PICTURES:
            page = browser.new_page(
                viewport={"width": picture.width, "height": picture.height},
                color_scheme="dark" if picture.dark else "light",
            )
            address = f"{(chosen.page / 'index.html').absolute().as_uri()}{picture.view}"
            save(taken(page, address, picture), chosen.out / picture.name)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
