"""One self-contained HTML page from results."""

from separatrix.report.chapter import chapter_of, page_of
from separatrix.report.figures import figures_of
from separatrix.report.page import Page, Picture
from separatrix.report.results import GridSearch, ModelResults
from separatrix.report.write import write_report

__all__ = [
    "GridSearch",
    "ModelResults",
    "Page",
    "Picture",
    "chapter_of",
    "figures_of",
    "page_of",
    "write_report",
]
