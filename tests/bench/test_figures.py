"""What README and docs say of speed is what was measured and kept."""

import re
from pathlib import Path

import pytest

from bench import figures, report

RESULTS = {
    "hot_path": {"events_per_s": 14797, "ratio": 0.382, "latency_ms": {"p50": 17.352}, "cases": [{"us": 2.5}]}
}


def test_every_figure_of_the_pages_is_that_of_its_kept_result(repository: Path) -> None:
    results = figures.kept()
    for page in figures.pages(repository):
        text = page.read_text(encoding="utf-8")
        assert figures.filled(text, results) == text, (
            f"{page.name}: write it anew with python -m bench report"
        )


def test_the_numbers_of_the_readme_all_name_their_result(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    numbers = text.split("\n## Numbers\n")[1].split("\n## ")[0]
    rows = [line for line in numbers.splitlines() if line.startswith("|")][2:]
    assert rows
    for row in rows:
        for cell in row.strip("|").split("|")[1:]:
            bare = figures.MARKED.sub("", cell)
            assert not re.search(r"\d{2}", re.sub(r"p\d\d|\bp99\b", "", bare)), (
                f"a figure without its result: {cell}"
            )


def test_a_figure_is_written_as_its_mark_says() -> None:
    page = (
        "1<!-- hot_path.events_per_s --> 2<!-- hot_path.latency_ms.p50 .1f --> "
        "3<!-- hot_path.cases.0.us x1000 ,.0f --> "
        "4%<!-- not a mark --> 0.3<!-- hot_path.ratio -->"
    )
    assert figures.filled(page, RESULTS) == (
        "14,797<!-- hot_path.events_per_s --> 17.4<!-- hot_path.latency_ms.p50 .1f --> "
        "2,500<!-- hot_path.cases.0.us x1000 ,.0f --> 4%<!-- not a mark --> 0.382<!-- hot_path.ratio -->"
    )


def test_a_figure_that_nothing_has_is_told() -> None:
    with pytest.raises(report.Failed, match=r"no kept result has hot_path\.speed"):
        figures.filled("1<!-- hot_path.speed -->", RESULTS)
