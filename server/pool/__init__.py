"""The solver processes as the server sees them: warm ones taken and given back, dead ones replaced, deaf ones killed.

Runs in the server's event loop. What happens inside a solver process stands in server/solver_process.py.

    solvers.py  `SolverPool`: which process does what, and how many there are
    process.py  one process: its socket, and how it ended
    watch.py    the time of a search, and what becomes of a process that does not stop
    forker.py   the process that forks the others
"""

from server.pool.process import SolverDied
from server.pool.solvers import SolverPool
from server.pool.watch import EarlyStop

__all__ = ["EarlyStop", "SolverDied", "SolverPool"]
