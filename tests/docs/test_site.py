"""The built site, opened from disk in a browser: it fits a phone, its search answers, nothing fails."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("selenium", reason="the browser tests need selenium (the dev extra)")
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SITE = Path(__file__).parents[2] / "docs" / "_build" / "html"
PAGES = (
    "index", "start/install", "extend/environment", "use/evaluate", "gallery/index", "gallery/RobustHopper-v0",
    "gallery/Household-v0", "agents/sac", "commands/train", "cards/envs/convection", "results/mujoco_v5",
    "api/agentgym.evaluation", "tutorials/index",
)  # fmt: skip
WIDTHS = {"phone": 390, "desktop": 1280}

pytestmark = pytest.mark.skipif(not (SITE / "index.html").exists(), reason="the site is not built: make docs")


@pytest.fixture
def screen(browser, request):
    """A browser of a given width; the size and the log are as before afterwards."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": WIDTHS[request.param], "height": 800, "deviceScaleFactor": 1, "mobile": request.param == "phone"},
    )
    browser.get_log("browser")
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def complaints(browser):
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("screen", WIDTHS, indirect=True)
def test_pages_fit_and_do_not_complain(screen):
    for name in PAGES:
        screen.get((SITE / f"{name}.html").as_uri())
        inner, wide = screen.execute_script("return [innerWidth, document.documentElement.scrollWidth]")
        assert wide <= inner, f"{name} is {wide} wide in a window of {inner}"
        assert complaints(screen) == [], name


@pytest.mark.parametrize("screen", ["desktop"], indirect=True)
@pytest.mark.parametrize("words", ["convection", "ObservationNoise", "interquartile"])
def test_the_search_answers_without_a_server(screen, words):
    screen.get((SITE / "search.html").as_uri() + f"?q={words}")
    WebDriverWait(screen, 20).until(lambda page: page.find_elements(By.CSS_SELECTOR, "ul.search li a"))
    assert complaints(screen) == []


@pytest.mark.parametrize("screen", ["desktop"], indirect=True)
def test_dark_mode_is_dark(screen):
    screen.get((SITE / "index.html").as_uri())
    screen.execute_script("document.body.dataset.theme = 'dark'")
    colour = screen.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", colour)[:3])) < 150


def test_every_picture_has_words_and_every_link_a_file():
    pages = sorted(SITE.rglob("*.html"))
    assert len(pages) > 150
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for picture in re.findall(r"<img\b[^>]*>", text):
            assert re.search(r'\balt="[^"]+"', picture), f"{page.name}: {picture}"
        for place in re.findall(r'(?:href|src|srcset)="([^"#?:]+)[^":]*"', text):
            assert (page.parent / unquote(place)).exists(), f"{page.name} leads to {place}"
