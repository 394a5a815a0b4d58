"""The report in a real browser: it draws, answers to the pointer and the keyboard, and cannot be broken by a name."""

import csv
import time

import pytest
from PIL import Image

from agentgym.errors import AskError
from agentgym.evaluation.report import write_report
from agentgym.evaluation.report.picture import take_picture

pytest.importorskip("selenium", reason="the browser tests need selenium (the dev extra)")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

WAIT = 10.0  # seconds for anything to happen


@pytest.fixture(scope="module")
def report(evaluation, tmp_path_factory):
    return write_report(evaluation, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def page(browser, report):
    yield open_page(browser, report)
    assert complaints(browser) == []


def open_page(browser, path, tab=""):
    browser.get("about:blank")  # so that a change of the #name alone loads the page again
    complaints(browser)
    browser.get(path.as_uri() + (f"#{tab}" if tab else ""))
    return browser


def complaints(browser):
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def until(condition):
    """What ``condition`` gives as soon as it is true."""
    end = time.monotonic() + WAIT
    while not (found := condition()):
        assert time.monotonic() < end, "nothing came in time"
        time.sleep(0.05)
    return found


def tab(page, name):
    return next(button for button in page.find_elements(By.CSS_SELECTOR, '[role="tab"]') if button.text == name)


def open_tab(page, name):
    tab(page, name).click()
    return until(lambda: [plot for plot in page.find_elements(By.CSS_SELECTOR, ".plot") if plot.is_displayed()])


def point_at(page, plot, x, y):
    """Move the pointer to a place in a plot's coordinates; the text that appears."""
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    left, top = page.execute_script(
        "const {xaxis, yaxis} = arguments[0]._fullLayout, box = arguments[0].getBoundingClientRect();"
        "return [xaxis._offset + xaxis.d2p(arguments[1]) - box.width / 2,"
        "        yaxis._offset + yaxis.d2p(arguments[2]) - box.height / 2];",
        plot, x, y,
    )  # fmt: skip
    ActionChains(page).move_to_element_with_offset(plot, round(left) - 3, round(top) - 3).perform()
    ActionChains(page).move_by_offset(3, 3).perform()
    shown = until(lambda: plot.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext"))
    lines = [line.text for line in shown[0].find_elements(By.CSS_SELECTOR, "tspan.line")]
    return " | ".join(lines or [shown[0].text])


PLOTS = {
    "Overview": 2, "Parameter grid": 4, "Three parameters": 4, "One parameter": 2, "Observation": 4, "Transfer": 1,
}  # fmt: skip


def test_every_tab_draws_its_plots(page):
    for name, plots in PLOTS.items():
        shown = open_tab(page, name)
        assert len(shown) == plots
        for plot in shown:
            drawing = plot.find_element(By.CSS_SELECTOR, "svg.main-svg")
            assert drawing.size["width"] > 250
            assert drawing.size["height"] > 120
            marks = plot.find_elements(
                By.CSS_SELECTOR, ".heatmaplayer image, .scatterlayer path, .boxlayer path, .barlayer path"
            )
            assert any(mark.size["width"] > 50 for mark in marks)
        width, window = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert width <= window  # nothing sticks out


def test_the_first_screen_is_a_picture(browser, report):
    """On a desk and on a phone, in light and dark: the bars are seen without scrolling, and nothing sticks out."""
    try:
        for width, height, theme in ((1400, 900, "light"), (390, 844, "dark")):
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            features = [{"name": "prefers-color-scheme", "value": theme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            page = open_page(browser, report)
            plot = until(lambda: browser.find_elements(By.CSS_SELECTOR, ".plot .barlayer .point > path"))
            boxes = [bar.rect for bar in plot]
            assert len(boxes) == 10
            assert all(box["width"] > 50 and box["y"] + box["height"] < height for box in boxes)
            wide, window = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
            assert wide <= window
        shown = page.find_element(By.CSS_SELECTOR, ".plot").get_attribute("aria-label")
        assert "Parameter grid: nominal 62 % of the nominal return [" in shown
        assert complaints(page) == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_heat_map_cell_shows_its_value(page, evaluation):
    nominal, _, difference = open_tab(page, "Parameter grid")[:3]
    found = evaluation.returns("nominal", "pole_mass=6, cart_mass=1")
    shown = point_at(page, nominal, 1, 0)
    assert f"return {sum(found) / len(found):.0f} [" in shown
    assert "| pole_mass = 6 | cart_mass = 1 |" in shown
    assert "6 episodes of 1 000 steps" in shown
    assert "difference 191 [191, 191]" in point_at(page, difference, 1, 0)


def test_a_failed_cell_shows_its_error(page):
    shown = point_at(page, open_tab(page, "Parameter grid")[0], 2, 2)
    assert "6 episodes failed" in shown
    assert "<b>left</b>" in shown  # as text
    assert "return" not in shown


def test_a_curve_shows_its_value(page, evaluation):
    found = evaluation.returns("randomised", "Observation: dropout 3")
    shown = point_at(page, open_tab(page, "Observation")[1], 3, sum(found) / len(found))
    assert "randomised" in shown
    assert "return 924 [" in shown


def test_the_matrix_shows_where_an_agent_was_trained(page):
    shown = point_at(page, open_tab(page, "Transfer")[0], 1, 0)
    assert "return 300" in shown
    assert "trained in agentgym/Robust-v0 (nominal)" in shown


def test_a_promise_shows_its_condition_in_light_and_dark(browser, promising, tmp_path):
    page = open_page(browser, write_report(promising, tmp_path / "report.html"))
    (plot,) = open_tab(page, "Consistency")
    found = promising.returns("randomised", "pole_mass=6, cart_mass=3.5")
    mean = sum(found) / len(found)
    shown = point_at(page, plot, 1000, mean)
    assert f"randomised | pole_mass=6, cart_mass=3.5 | pole_mass = 6 | cart_mass = 3.5 | return {mean:.0f} [" in shown
    assert "promised_return 1 000" in shown
    said = page.find_element(By.CSS_SELECTOR, ".verdict").get_attribute("textContent")
    assert "falls furthest short of its promise" in said
    colour = "return getComputedStyle(arguments[0].querySelector('.xtick text')).fill"
    light = page.execute_script(colour, plot)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    try:
        assert until(lambda: page.execute_script(colour, plot) not in (light, ""))
        assert plot.find_element(By.CSS_SELECTOR, ".scatterlayer .errorbar").is_displayed()
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert complaints(page) == []


def test_tabs_switch_by_mouse_and_keyboard(page):
    def selected():
        return [b.text for b in page.find_elements(By.CSS_SELECTOR, '[role="tab"][aria-selected="true"]')]

    def visible():
        return [
            part.get_attribute("aria-labelledby") for part in page.find_elements(By.CSS_SELECTOR, ".tab:not([hidden])")
        ]

    assert selected() == ["Overview"]
    tab(page, "Transfer").click()
    assert selected() == ["Transfer"]
    assert visible() == [tab(page, "Transfer").get_attribute("id")]
    tab(page, "Transfer").send_keys(Keys.ARROW_RIGHT)
    assert selected() == ["All conditions"]
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert selected() == ["Overview"]
    page.switch_to.active_element.send_keys(Keys.END)
    assert selected() == ["All conditions"]
    page.switch_to.active_element.send_keys(Keys.HOME)
    assert selected() == ["Overview"]
    assert page.switch_to.active_element.text == "Overview"


def test_an_address_opens_its_tab(browser, report):
    page = open_page(browser, report, "Parameter%20grid")
    assert tab(page, "Parameter grid").get_attribute("aria-selected") == "true"
    assert complaints(page) == []


def test_the_slider_moves_all_maps(page, evaluation):
    nominal, randomised = open_tab(page, "Three parameters")[:2]
    slider = page.find_element(By.CSS_SELECTOR, ".slider input")
    assert slider.find_element(By.XPATH, "../output").text == "3"
    slider.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert slider.find_element(By.XPATH, "../output").text == "1"
    for plot, agent in ((nominal, "nominal"), (randomised, "randomised")):
        found = evaluation.returns(agent, "torso 2 friction 0.5 thigh 1")
        shown = point_at(page, plot, 1, 0)
        assert f"return {sum(found) / len(found):.0f} [" in shown
        assert "thigh_mass = 1" in shown


def column(page, index):
    cells = page.find_elements(By.CSS_SELECTOR, f"#conditions tbody tr td:nth-child({index})")
    return [cell.get_attribute("data-value") for cell in cells]


def test_the_table_sorts(page):
    tab(page, "All conditions").click()
    heading = next(h for h in page.find_elements(By.CSS_SELECTOR, "#conditions th") if h.text.startswith("Mean"))
    before = column(page, 5)
    assert before.count("nan") == 2
    known = sorted(float(value) for value in before if value != "nan")
    for direction, expected in (("ascending", known), ("descending", known[::-1])):
        heading.find_element(By.TAG_NAME, "button").click()
        assert heading.get_attribute("aria-sort") == direction
        after = column(page, 5)
        assert [float(value) for value in after[:-2]] == expected
        assert after[-2:] == ["nan", "nan"]
    page.find_element(By.CSS_SELECTOR, "#conditions th:nth-child(4) button").click()
    assert column(page, 4) == sorted(column(page, 4))


def test_the_table_filters(page):
    tab(page, "All conditions").click()
    page.find_element(By.ID, "filter").send_keys("DROPOUT")
    rows = [row for row in page.find_elements(By.CSS_SELECTOR, "#conditions tbody tr") if row.is_displayed()]
    assert len(rows) == 8
    assert all("dropout" in row.text for row in rows)


def test_the_csv_downloads(page, tmp_path):
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    tab(page, "All conditions").click()
    page.find_element(By.ID, "download").click()
    until(lambda: (tmp_path / "conditions.csv").is_file())
    with (tmp_path / "conditions.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 80


@pytest.fixture
def dark(page):
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    yield page
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_dark_colours_reach_page_and_plots(dark):
    plot = open_tab(dark, "Parameter grid")[0]
    assert "rgb(18, 22, 27)" in dark.find_element(By.TAG_NAME, "body").value_of_css_property(
        "background-color"
    ).replace("a(", "(").replace(", 1)", ")")
    assert until(lambda: dark.execute_script("return arguments[0].layout.font.color === '#e7eaee'", plot))


def test_printing_shows_every_tab_with_its_plots(page):
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        plots = page.find_elements(By.CSS_SELECTOR, ".plot")
        assert len(plots) == 17
        assert all(plot.is_displayed() and plot.find_elements(By.CSS_SELECTOR, "svg.main-svg") for plot in plots)
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_hostile_names_stay_text(browser, tmp_path, make_evaluation, hostile):
    evaluation = make_evaluation((hostile, "randomised"))
    evaluation.meta["command"] = evaluation.meta["env"] = hostile
    page = open_page(browser, write_report(evaluation, tmp_path / "report.html"))
    for button in page.find_elements(By.CSS_SELECTOR, '[role="tab"]'):
        button.click()
    shown = point_at(page, open_tab(page, "Parameter grid")[0], 1, 0)
    assert " ".join(hostile.split()) in " ".join(shown.split())
    assert hostile in page.find_element(By.CSS_SELECTOR, ".agents").text
    assert hostile in page.find_element(By.CSS_SELECTOR, "footer code").text
    labels = [label.text for label in open_tab(page, "Transfer")[0].find_elements(By.CSS_SELECTOR, ".ytick text")]
    assert any("onerror" in label for label in labels)
    assert page.execute_script("return window.hacked") is None
    assert page.execute_script("return document.querySelectorAll('img, iframe, main script').length") == 0
    assert complaints(page) == []


def test_the_picture(browser, report, tmp_path):
    picture = Image.open(
        take_picture(report, tmp_path / "new" / "picture.png", tab="Parameter grid", width=1000, height=1200)
    )
    assert picture.size == (1000, 1200)
    shades = {shade for _, shade in picture.convert("RGB").getcolors(2**24)}
    assert len(shades) > 1000
    assert (213, 94, 0) in shades  # the second agent's colour, also the best difference


def test_a_picture_of_nothing(tmp_path, report, monkeypatch):
    with pytest.raises(FileNotFoundError, match="There is no report"):
        take_picture(tmp_path / "report.html", tmp_path / "picture.png")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AskError, match="apt-get install chromium"):
        take_picture(report, tmp_path / "picture.png")


def test_no_foreign_script_runs_and_nothing_is_loaded(browser, report):
    page = open_page(browser, report)
    page.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.hacked = 3';"
        "document.body.append(script); const image = new Image(); image.src = 'http://127.0.0.1:9/x.png';"
    )
    blocked = until(lambda: complaints(page))
    assert all("Content Security Policy" in message for message in blocked)
    assert page.execute_script("return window.hacked") is None
