"""The committed pages of results are what their scripts make of the committed numbers, word for word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Page = Callable[[ModuleType, Any], str]


def rows(module: ModuleType, records: list[dict[str, Any]], row: str = "Row") -> list[Any]:
    return [getattr(module, row)(**record) for record in records]


def written(module: ModuleType, record: Any, *more: Any) -> str:
    """What ``write_page`` writes, beside its figures."""
    folder: Path = module.TO
    module.write_page(record, folder, *more)
    return next(folder.glob("*.md")).read_text(encoding="utf-8")


def drifted(module: ModuleType, record: dict[str, Any]) -> str:
    """The page, whose findings are those of its cells."""
    assert module.findings(record) == record["findings"]
    made: str = module.page(record)
    return made


# script (without .py), page and numbers (stem under its results), how its function is called
PAGES: list[tuple[str, str, Page]] = [
    ("benchmarks/audit", "audit", lambda m, r: m.table(r)),
    ("benchmarks/barriers", "barriers", lambda m, r: m.page(r)),
    ("benchmarks/drift", "drift", lambda m, r: m.page(r)),
    ("benchmarks/engine_table", "engine", lambda m, r: m.markdown(r)),
    ("benchmarks/engine_large", "engine_large", lambda m, r: m.page(r)),
    ("benchmarks/explorer", "explorer", lambda m, r: m.page(r)),
    ("benchmarks/explorer_engines", "explorer_engines", lambda m, r: m.page(r)),
    ("benchmarks/explorer_live", "explorer_live", lambda m, r: m.page(r)),
    ("benchmarks/imports", "imports", lambda m, r: m.page(r)),
    ("benchmarks/mutation", "mutation", lambda m, r: m.page(r)),
    ("benchmarks/omp", "omp", lambda m, r: m.markdown(rows(m, r["rows"]), r)),
    ("benchmarks/ood_choice", "ood_choice", lambda m, r: m.page(r)),
    ("benchmarks/ood_table", "ood", lambda m, r: m.page(r)),
    ("benchmarks/plan", "plan", lambda m, r: m.page(r)),
    ("benchmarks/real_models", "real_models", lambda m, r: m.markdown(rows(m, r["rows"]), r["machine"])),
    ("benchmarks/report_large", "report_large", lambda m, r: m.page(r)),
    ("benchmarks/scale", "scale", lambda m, r: m.page(r)),
    ("benchmarks/score_shards", "score_shards", lambda m, r: m.page(r)),
    ("benchmarks/search_size", "search_size", lambda m, r: m.markdown(r)),
    ("benchmarks/soak", "soak", lambda m, r: m.page(r)),
    ("benchmarks/statistical", "statistical", lambda m, r: m.page(r)),
    ("benchmarks/trapping", "trapping", lambda m, r: m.markdown(rows(m, r["rules"], "Counts"), r["systems"])),
    ("reproduce/boundaries", "boundaries", lambda m, r: m.page(r)),
    ("reproduce/burgess", "burgess", lambda m, r: m.table(r)),
    ("reproduce/closed_loops", "closed_loops", lambda m, r: m.page(r)),
    ("reproduce/contraction_page", "contraction", lambda m, r: written(m, r, len(r["runs"]))),
    ("reproduce/drift_page", "drift", drifted),
    ("reproduce/living_pages", "living_pages", lambda m, r: m.table(r)),
    ("reproduce/fields", "fields", lambda m, r: m.page(r)),
    ("reproduce/foundation_orbits", "foundation_orbits", lambda m, r: m.table(r)),
    ("reproduce/initialisation", "initialisation", lambda m, r: m.table(r)),
    ("reproduce/language_orbits", "language_orbits", lambda m, r: m.table(r)),
    ("reproduce/memorization_page", "memorization", lambda m, r: written(m, r)),
    ("reproduce/model_families", "model_families", lambda m, r: m.table(r)),
    ("reproduce/ood", "ood", lambda m, r: m.page(r)),
    ("reproduce/probing_page", "probing", lambda m, r: m.page(r)),
    ("reproduce/replication", "replication", lambda m, r: m.page(r)),
    ("reproduce/score_on_data", "score_on_data", lambda m, r: m.page(r)),
    ("reproduce/theory", "theory", lambda m, r: m.page(r)),
    ("reproduce/training_dynamics", "training_dynamics_mnist", lambda m, r: m.page(r)),
    ("reproduce/training_dynamics", "training_dynamics_fashion_mnist", lambda m, r: m.page(r)),
    ("reproduce/vaelight", "vaelight", lambda m, r: m.table(r)),
]


@pytest.mark.parametrize(("path", "stem", "make"), PAGES, ids=[f"{path}-{stem}" for path, stem, _ in PAGES])
def test_a_page_is_what_its_script_makes_of_its_numbers(
    script: Callable[[str], ModuleType], path: str, stem: str, make: Page
) -> None:
    results = ROOT / path.split("/")[0] / "results"
    record = json.loads((results / f"{stem}.json").read_text(encoding="utf-8"))
    made, committed = make(script(path), record), (results / f"{stem}.md").read_text(encoding="utf-8")
    assert made == committed


def test_the_cards_of_the_gallery_are_those_of_its_numbers(script: Callable[[str], ModuleType]) -> None:
    gallery = script("reproduce/gallery")
    record = json.loads((ROOT / "reproduce/results/gallery.json").read_text(encoding="utf-8"))
    _, _, committed = (ROOT / "docs/gallery.md").read_text(encoding="utf-8").partition(gallery.MARK)
    assert committed == gallery.table(record)
    drawn = {path.stem for path in (ROOT / "docs/pictures/gallery").glob("*.svg")}
    assert drawn == {each["name"] for each in record["models"]}
    assert len(drawn) == 18  # docs/gallery.md says so


def test_every_page_of_results_is_tested() -> None:
    committed = {
        f"{folder}/{page.stem}"
        for folder in ("benchmarks", "reproduce")
        for page in (ROOT / folder).glob("results/*.md")
    }
    assert committed == {f"{path.split('/')[0]}/{stem}" for path, stem, _ in PAGES}
