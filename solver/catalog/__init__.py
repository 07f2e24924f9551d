"""Files -> validated records: the shipped catalogue, a buyer's own folder, vendor quotes, whole questions.

Floor 1: knows YAML, CSV and XLSX, never the solver.
"""

from solver.catalog.library import Library, default_library, default_problem, with_prices
from solver.catalog.question import overlaid, question_of, resolve

__all__ = ["Library", "default_library", "default_problem", "overlaid", "question_of", "resolve", "with_prices"]
