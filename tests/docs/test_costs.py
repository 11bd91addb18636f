"""docs/costs.md: its tables are those of the committed measurements."""

from __future__ import annotations

from collections.abc import Iterator

from bound import ROOT, result


def searches() -> Iterator[str]:
    for row in result("benchmarks/measured_searches")["searches"]:
        share = 100 * row["sampled"] / row["starts"]
        yield (
            f"| {row['model']} | {row['latent']} | {row['starts']:,} | {row['evaluations'] / row['starts']:,.0f} | {row['seconds']:,.1f} | "
            f"{row['memory'] / 2**20:,.0f} | {row['disk'] / 1e6:.2f} | {share:.0f} % |"
        )


def families() -> Iterator[str]:
    for row in result("reproduce/model_families")["rows"]:
        shape = "×".join(str(side) for side in row["latent_shape"])
        yield f"| {row['model']} | {row['parameters']:,} | {shape} | {row['per_second']:,.0f} | {row['memory'] / 1e6:.2f} |"


def test_the_tables_are_those_of_the_measurements() -> None:
    page = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    measured = page[: page.index("## What the rest costs")]
    rows = [line for line in measured.splitlines() if line.startswith("| ") and not line.startswith("| model")]
    assert rows == [*searches(), *families()]
