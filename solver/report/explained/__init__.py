"""Explanations and trade-off curves for people: words, sections of rows, and these as terminal tables or Markdown.

One definition of what is said serves both forms. Is handed records, solves nothing.
"""

from solver.report.explained.forms import markdown, print_explanation, print_sections
from solver.report.explained.sections import alternatives_section, frontier_sections, sections_of
from solver.report.explained.words import footer, headline

__all__ = [
    "alternatives_section",
    "footer",
    "frontier_sections",
    "headline",
    "markdown",
    "print_explanation",
    "print_sections",
    "sections_of",
]
