"""`solver-cli whatif`: files of scenarios, run, resumed, shown, compared.

Exit codes: 0 all answered (also where some are infeasible: that is a result), 3 an expectation does not hold or a
replay differs, 6 some scenarios failed, 2 bad input, 7 the scheduler of a
cluster is gone, 130 interrupted with everything finished kept.

One module a kind of command; a new command is a function in the one it belongs to.
"""

from solver.cli.whatif import files, keeping, looking, running
from solver.cli.whatif.group import command

__all__ = ["command", "files", "keeping", "looking", "running"]
