"""From results to pages: every number in the page is the number of the result."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from separatrix.errors import InputError
from separatrix.limitsets import Kind
from separatrix.limitsets._join import join_searches
from separatrix.limitsets._triviality import Dominance
from separatrix.orbits._status import Status
from separatrix.plots import spectrum
from separatrix.report import ModelResults, chapter_of, figures_of, page_of, write_report
from separatrix.report._chapter import attractor_cards, counts_in_words, statement_of
from separatrix.report._page import Bullets, Cards, Facts, Film, Page, Picture, Section, Table
from separatrix.report._several_models import several_models_page
from separatrix.report._tables import limit_set_table, sensitivity_table
from separatrix.report._write import rendered
from separatrix.studies._resemblance import resemblance
from separatrix.studies._resemblance_words import Outcome
from separatrix.words import Statement


@pytest.fixture(scope="module")
def figures(results):
    return figures_of(results, resolution=12)


def blocks(chapter, kind):
    return [block for section in chapter.sections for block in section.blocks if isinstance(block, kind)]


def test_all_results_give_all_figures_with_words_for_each(figures):
    names = {"film", "field", "nulls", "attractors", "basins", "shares", "steps", "spectrum"}
    assert set(figures) == names
    assert all(picture.png.startswith(b"\x89PNG") for picture in figures.values())
    assert all(len(picture.alt) > 40 for picture in figures.values())


def test_the_same_figure_gives_the_same_bytes(results):
    first, second = (Picture.of(spectrum(results.limits), alt="") for _ in range(2))
    assert first.png == second.png


def test_one_card_per_attractor_with_its_numbers(results, figures):
    cards = blocks(chapter_of(results, figures), Cards)[0].cards
    found, limits = results.resemblance, results.limits
    assert [card.name for card in cards] == ["A", "B", "C", "D"]
    for place, card in enumerate(cards):
        assert f"cosine {float(found.coefficient[place]):.3f}" in card.lines[0]
        assert f"p = {float(found.p_value[place]):.2g}" in card.lines[1]
        assert card.headline == f"{100 * float(limits.fractions[place]):.0f} %"
        assert bool(card.badge) == bool(found.significant[place])


def test_the_table_holds_every_set_and_both_searches(results):
    table = limit_set_table(results.searches)
    assert len(table.rows) == 4
    column = dict(zip(table.heads, range(20), strict=False))
    limits = results.limits
    for index, row in enumerate(table.rows):
        assert row[column["kind"]].text == "fixed point"
        assert row[column["stability"]].text == "attracts"
        assert row[column["ρ"]].text == f"{float(limits.spectral_radius[index]):.4f}"
        assert row[column["ρ"]].text == "0.1664"
        assert row[column["share of a box"]].text.startswith(f"{100 * float(limits.fractions[index]):.0f} % (")
    # The second search has its own order; its shares must stand in the rows of the same points.
    noise = results.searches["noise"]
    for row, point in zip(table.rows, limits.points, strict=True):
        partner = int((noise.points - point).norm(dim=1).argmin())
        share = 100 * float(noise.fractions[partner])
        assert float(row[column["share of noise"]].text.split(" ")[0]) == pytest.approx(share, abs=0.5)


def test_unknown_is_a_word_in_the_table(results):
    limits = replace(
        results.limits,
        stable=torch.full((4,), -1, dtype=torch.int8),
        unstable_directions=torch.full((4,), -1),
        spectral_radius=torch.full((4,), torch.nan),
    )
    row = [cell.text for cell in limit_set_table({"x": limits}).rows[0]]
    assert row.count("unknown") == 2
    assert not any("nan" in text.lower() for text in row)


def test_the_sensitivity_matrix_has_every_count_in_its_place(results):
    table = sensitivity_table(results.sensitivity, "the first 16 of the 64 starts")
    assert "from the first 16 of the 64 starts" in table.caption
    counts = {
        (row[0].text, head): cell.text
        for row in table.rows
        for head, cell in zip(table.heads[1:], row[1:], strict=True)
        if cell.text
    }
    assert len(counts) == len(results.sensitivity.rows)
    for row in results.sensitivity.rows:
        texts = [text for (stop, _), text in counts.items() if stop == f"{row.stop:.0e}"]
        assert any(text.split(" ")[0] == str(row.count) for text in texts)


def test_the_sensitivity_caption_says_which_starts_were_counted(results, figures):
    def caption(given):
        return next(b.caption for b in blocks(chapter_of(given, figures), Table) if b.heads[0] == "stop at")

    assert "finds from the first 16 of the 64 starts from a box. " in caption(results)
    one = replace(results, searches={"a box": results.limits})
    assert "finds from the first 16 of the 64 starts. " in caption(one)
    every = replace(one, sensitivity=replace(results.sensitivity, starts=64))
    assert "finds from the same 64 starts. " in caption(every)


def test_the_median_of_an_even_number_of_steps_lies_between_the_middle_two(results):
    labels = torch.full_like(results.limits.labels, -1)
    labels[:2] = 0
    steps = results.limits.orbits.steps.clone()
    steps[:2] = torch.tensor([10, 20])
    limits = replace(results.limits, labels=labels, orbits=replace(results.limits.orbits, steps=steps))
    table = limit_set_table({"x": limits})
    assert table.rows[0][table.heads.index("steps")].text == "15"


def test_a_closed_curve_is_called_one_and_its_rho_is_explained(results, figures):
    kind = results.limits.kind.clone()
    kind[1] = int(Kind.CLOSED_CURVE)
    curved = replace(results, searches={"a box": replace(results.limits, kind=kind)})
    cards = blocks(chapter_of(curved, figures), Cards)[0].cards
    assert cards[1].lines[0] == "closed curve; one of its points is shown"
    assert not any("shown" in line for line in cards[0].lines)
    words = "For a closed curve ρ is the factor per step by which the distance to it changes."
    assert words in limit_set_table(curved.searches).caption
    assert words not in limit_set_table(results.searches).caption


def test_a_chapter_on_all_searches_together_counts_the_same_everywhere(results):
    """The first search reaches three of the four attractors; the fourth is known from noise."""
    known = results.limits[[0, 1, 2]]
    searches = {"a box": known, "noise": results.searches["noise"]}
    both = join_searches(list(searches.values()))
    study = resemblance(results.latent_field, both, results.train, torch.rand(60, 1, 4, 4, dtype=torch.float64))
    given = replace(results, searches=searches, together=both, resemblance=study, grid=None)
    chapter = chapter_of(given, figures_of(given, resolution=8))
    cards = blocks(chapter, Cards)[0].cards
    assert [card.name for card in cards] == ["A", "B", "C", "D"]
    assert all(card.headline.endswith(" %") for card in cards)
    assert "shares of all starts" in blocks(chapter, Cards)[0].caption
    assert len(study) == len(blocks(chapter, Table)[0].rows) == 4
    assert counts_in_words(given.limits).startswith("4 attractors")


def test_protocol_provenance_and_cost_are_there(results, figures):
    facts = {term: value for block in blocks(chapter_of(results, figures), Facts) for term, value in block.entries}
    assert facts["merge"] == "distance"
    assert facts["cost: a box"].startswith(f"{results.limits.cost.map:,} map evaluations")
    assert "seed 1" in facts["starts: a box"]


def test_the_statement_is_that_of_the_study(results):
    page = chapter_of(results, {})
    assert page.statement is results.resemblance.statement


def test_without_a_study_the_headline_is_the_count_and_nothing_about_memorization(results):
    found = statement_of(replace(results, resemblance=None))
    assert (found.headline, found.code) == ("4 attractors", Dominance.NOT_TRIVIAL)
    assert "memor" not in str(found)


def test_a_count_never_hides_what_did_not_converge(results):
    labels, status = results.limits.labels.clone(), results.limits.orbits.status.clone()
    labels[:16], status[:16] = -1, int(Status.WANDERING)
    limits = replace(results.limits, labels=labels, orbits=replace(results.limits.orbits, status=status))
    assert counts_in_words(limits) == "4 attractors; 48 of 64 starts reached an attractor, 16 are still moving"


def test_orbits_that_did_not_arrive_come_with_their_remedy(results, figures):
    labels, status = results.limits.labels.clone(), results.limits.orbits.status.clone()
    labels[:3], status[:3] = -1, int(Status.SLOW)
    limits = replace(results.limits, labels=labels, orbits=replace(results.limits.orbits, status=status))
    chapter = chapter_of(replace(results, searches={"a box": limits}), figures)
    items = [item for block in blocks(chapter, Bullets) for item in block.items]
    assert any(item.startswith("3 × SLOW") and Status.SLOW.remedy in item for item in items)


def test_what_would_change_the_verdict_is_said_and_notes_come_first(results, figures):
    noted = replace(results, searches={"a box": replace(results.limits, notes=("Lost precision.",))})
    section = next(s for s in chapter_of(noted, figures).sections if s.title == "What would change this verdict")
    assert section.blocks[0].items[0] == "Lost precision."
    assert len(section.blocks[0].items) >= 4


def test_field_and_one_search_are_enough(results, tmp_path):
    least = ModelResults(title="t", subtitle="s", latent_field=results.latent_field, searches={"box": results.limits})
    page = page_of(least, figures_of(least, resolution=8))
    text = write_report(tmp_path / "report.html", page).read_text(encoding="utf-8")
    assert "4 attractors" in text
    assert "training image</figcaption>" not in text


def test_suspected_images_are_never_called_training_images(results, tmp_path):
    """In captions, in figures and in what is said for readers who cannot see them; and training images still are."""
    for noun, other in (("suspected image", "training image"), ("training image", "suspected image")):
        given = replace(results, noun=noun, sensitivity=None, grid=None)
        blocks = [
            *attractor_cards(given),
            *(figures_of(given, resolution=8)[name] for name in ("field", "nulls", "attractors")),
        ]
        words = " ".join([blocks[0].caption, *(card.nearest.alt for card in blocks[0].cards)])
        words += " ".join(f"{picture.alt} {picture.caption}" for picture in blocks[1:])
        assert words.count(noun) >= 7
        assert other not in words
        page = Page("t", Statement("v", "s", Outcome.CANNOT_SAY), ("i",), [Section("x", blocks[:1])])
        assert f"<figcaption>{noun}</figcaption>" in rendered(page)


def test_sets_that_only_one_search_found_have_rows_of_their_own(results):
    """Two searches beside the first, each with an attractor that no other found."""
    order = (results.limits.stable == 1).nonzero().squeeze(1).tolist()
    searches = {
        name: replace(results.limits[[order[row] for row in rows]], hits=torch.tensor(hits))
        for name, rows, hits in (("first", [0], [64]), ("second", [1, 0], [48, 16]), ("third", [2, 0], [32, 32]))
    }
    table = limit_set_table(searches)
    place = table.heads.index("share of first")
    shares = {row[0].text: ["–" not in cell.text[:1] for cell in row[place : place + 3]] for row in table.rows}
    assert shares == {"A": [True, True, True], "B": [False, True, False], "C": [False, False, True]}


def test_cards_say_where_among_the_unseen_an_attractor_is_and_that_it_is_not_called(results):
    found = results.resemblance
    for quantile, uncalled in ((0.25, "no closer"), (0.75, "")):
        at = found.held_out.quantile(quantile)
        alone = found.held_out_ratio.quantile(1 - quantile)
        weak = replace(
            found,
            coefficient=torch.full_like(found.coefficient, float(at)),
            ratio=torch.full_like(found.ratio, float(alone)),
            q_value=torch.ones_like(found.q_value),
        )
        (cards,) = attractor_cards(replace(results, resemblance=weak), uncalled=uncalled)
        percent = 100 * quantile
        assert cards.cards[0].lines[-1] == f"closer than {percent:.0f} % of the unseen, more alone than {percent:.0f} %"
        assert {card.badge for card in cards.cards} == {uncalled}
    (cards,) = attractor_cards(results, uncalled="no closer")
    found = replace(found, q_value=torch.tensor([0.0, 0.02, 0.04, 1.0], dtype=torch.float64))
    called = [True, True, True, False]
    for alpha, ratio, words in (
        (0.05, 0.0099, "exact copy"),
        (0.05, 0.01, "closer than 95 % of unseen"),
        (0.1, 0.5, "closer than 90 % of unseen"),
    ):
        study = replace(found, alpha=alpha, ratio=torch.full_like(found.ratio, ratio))
        (cards,) = attractor_cards(replace(results, resemblance=study), uncalled="no closer")
        assert [card.badge for card in cards.cards] == [words if yes else "no closer" for yes in called]
    placed = ["closer than" in card.lines[-1] for card in cards.cards]
    assert placed == [not yes for yes in called]


def test_a_report_needs_a_search(results):
    with pytest.raises(InputError, match="at least one search"):
        ModelResults(title="t", subtitle="s", latent_field=results.latent_field, searches={})


def test_a_comparison_feeds_every_input_to_every_model(results, figures):
    inputs = {"first": results.train[0], "noise": torch.rand(1, 4, 4, dtype=torch.float64)}
    twin = replace(results, title="Twin")
    page = several_models_page(
        "t", Statement("v", "s", Outcome.CANNOT_SAY), [results, twin], [figures, figures], inputs=inputs
    )
    films = [block for block in page.opening[0].blocks if isinstance(block, Film)]
    assert len(films) == 2
    for film in films:
        assert [strip.label for strip in film.strips] == ["Halves", "Twin"]
        assert all(len(strip.frames) == len(film.heads) for strip in film.strips)
        assert all(strip.ending.startswith("attractor ") for strip in film.strips)
    table = page.opening[1].blocks[0]
    assert isinstance(table, Table)
    assert [row[table.heads.index("attractors")].text for row in table.rows] == ["4", "4"]
    assert len(page.chapters) == 2


def test_a_comparison_needs_training_images_and_figures(results, figures):
    with pytest.raises(InputError, match="one set per model"):
        several_models_page("t", Statement("v", "s", Outcome.CANNOT_SAY), [results], [], inputs={"x": results.train[0]})
    with pytest.raises(InputError, match="train="):
        several_models_page(
            "t", Statement("v", "s", Outcome.CANNOT_SAY), [replace(results, train=None)], [figures], inputs={}
        )


def test_pictures_say_how_wide_they_are(figures):
    assert all(isinstance(picture, Picture) and picture.width == 760 for picture in figures.values())
