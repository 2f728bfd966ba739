"""The page of a simulation: whole in one file, escaped, and drawn by a real browser."""

import re
import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest

from stagewheel.cli.simulate_page import BARS_MAX, bars, page, parts
from stagewheel.server.backtest.compare import compare
from stagewheel.server.backtest.report import Day
from tests.backtest.desk import RULES, START_MS, run, ticket

BROWSER_SECONDS_MAX = 60
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="module")
def html() -> str:
    """Two rulesets over the story of a desk."""
    then, now = run(), run(RULES.replace("run: {after: 1d}", "run: {after: 31h}"))
    return page(now.report, compare(then, now))


def test_everything_stands_in_the_one_file(html: str) -> None:
    assert not re.search(r"https?://|<script|\bsrc=|@import|<link|url\(", html)
    for section in (
        "comparison",
        "deltas",
        "items",
        "time",
        "ends",
        "rules",
        "workflows",
        "triggers",
        "stages",
    ):
        assert f'<section id="{section}">' in html


def test_texts_of_the_history_are_escaped() -> None:
    evil = ticket("t:<script>alert(1)</script>", START_MS)
    made = page(run(commands=[evil]).report, None)
    assert "<script>" not in made
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made


def test_equal_reports_are_equal_pages(html: str) -> None:
    then, now = run(), run(RULES.replace("run: {after: 1d}", "run: {after: 31h}"))
    assert page(now.report, compare(then, now)) == html
    same = page(then.report, compare(then, run()))
    assert "No difference: all 4 items come out the same." in same


def test_shares_of_a_bar_are_the_whole_and_nothing_has_no_piece() -> None:
    made = parts({"done": 1, "skipped": 0, "failed": 3})
    assert [(one.name, one.percent) for one in made] == [("done", 25.0), ("failed", 75.0)]
    assert parts({"done": 0}) == []


def test_a_long_time_has_no_more_bars_than_fit_and_loses_nothing() -> None:
    first = date(2020, 1, 1)
    days = [Day((first + timedelta(days=2 * n)).isoformat(), commands=n) for n in range(500)]
    made = bars(days)
    assert len(made) <= BARS_MAX
    assert made[0].title.startswith("2020-01-01 to 2020-01-09: 10 commands"), "days between count as days"
    total = sum(int(re.findall(r": ([\d,]+) commands", bar.title)[0].replace(",", "")) for bar in made)
    assert total == sum(range(500))
    assert bars([]) == []


def test_a_browser_draws_it(html: str, tmp_path: Path) -> None:
    """Debian's chromium; the tree it built from the page holds the charts and the numbers."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("there is no chromium on this machine to draw the page")
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BROWSER_SECONDS_MAX, check=True)
    assert len(re.findall(r"<rect ", done.stdout)) >= 3
    assert 'style="width:' in done.stdout
    assert "done → cancelled: left stage" in done.stdout
    assert done.stdout.count("<section") == html.count("<section")
