"""The options that make a question, shared by all commands that ask one, and the way from them to a `Problem`.

Grouped in --help by what a buyer thinks of: money, machine, site, training, output.

    options.py  the options, and which field of the question each one gives
    asked.py    what was given -> the question, on the catalogue that the options make
"""

from solver.cli.question.asked import library_from, names_a_file, problem_from, problem_to_solve, remote_question, tell
from solver.cli.question.options import naming_flags, question_options

__all__ = [
    "library_from",
    "names_a_file",
    "naming_flags",
    "problem_from",
    "problem_to_solve",
    "question_options",
    "remote_question",
    "tell",
]
