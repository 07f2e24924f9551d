"""Reports: one self-contained page, or Markdown, of a saved answer or of a run. Is handed records, solves nothing.

    chapter.py    what a report is made of: chapters of facts, charts and tables
    record.py     the one record that a page carries, and figures looked up in it
    answer.py     the chapters of a saved answer
    question.py   what was asked and assumed, and whose prices
    run.py        the chapters of a run of what-if scenarios
    page.py       chapters as HTML;  style.py, script.py: how it looks and what it does
    text.py       chapters as Markdown

Modify this package when a report should tell something new; how a chart is drawn is decided in solver.report.charts.
"""

from solver.report.document.answer import answer_report
from solver.report.document.chapter import Report
from solver.report.document.page import page
from solver.report.document.run import run_report
from solver.report.document.text import markdown_text

__all__ = ["Report", "answer_report", "markdown_text", "page", "run_report"]
