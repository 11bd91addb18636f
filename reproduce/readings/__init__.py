"""Verdicts on the paper's claims: each function reads committed results and says by a rule what they come to.

A claim is a file of ``claims/``; its ``reading`` names a function here. The rule that the function follows stands in the same file in words.
"""

from readings._record import ROOT, Mean, Reading, Share, file_of, look_in, result, span

__all__ = ["ROOT", "Mean", "Reading", "Share", "file_of", "look_in", "result", "span"]
