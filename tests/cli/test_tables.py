"""Tables of the terminal have room in 80 columns: no number is cut."""

from __future__ import annotations

import io

from rich.console import Console

from separatrix.cli._attractors_output import limit_sets
from separatrix.cli._tables import page_table, table
from separatrix.report._page import Cell, Table


def printed(*parts) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(*parts, sep="\n")
    return console.export_text()


def test_the_widest_row_of_limit_sets_fits():
    row = {
        "set": "AB", "kind": "closed curve", "period": 0, "share": 1.0, "share_low": 0.99, "share_high": 1.0, "hits": 10_000, "residual": 1e-16,
        "spectral_radius": 0.9999, "spectral_norm": 1234.5, "stable": None, "steps_median": 1000.0, "steps_p95": 20_000.0,
    }  # fmt: skip
    text = printed(*limit_sets({"sets": [row] * 40, "attractors": 0, "reached_once": 0}))
    assert "1,000 / 20,000" in text
    assert "1.23e+03" in text
    assert text.count("…") == 1  # which says what was left out
    assert "… and 10 more, on the page and in summary.json" in text


def test_a_long_head_of_numbers_takes_lines_and_not_columns():
    text = printed(table(("name", "components for 90 % of the variance"), [("a", "1")]))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 20


def test_columns_without_room_are_left_out_by_name():
    known = Table(("dictionary", "distinct", "latent, 2"), ((Cell("noise"), Cell("12"), Cell("0.5")),))
    text = printed(page_table(known, without=("distinct",)))
    assert "0.5" in text
    assert "12" not in text
