"""One self-contained HTML page from results."""

from separatrix.report._chapter import chapter_of, page_of
from separatrix.report._figures import figures_of
from separatrix.report._page import Page, Picture
from separatrix.report._results import ModelResults
from separatrix.report._write import write_report

__all__ = [
    "ModelResults",
    "Page",
    "Picture",
    "chapter_of",
    "figures_of",
    "page_of",
    "write_report",
]
