"""A thin gRPC client: records in, records out, and the same errors as the library. One `Client` may serve many threads.

    with Client("127.0.0.1:50051") as client:
        result = client.optimize({"limits": {"budget_cny": 300000}})

Every call has a deadline. A server that is unavailable for a moment is asked again, up to four times.

    connection.py  the connection, and how a call is made
    questions.py   the calls of OptimizerService
    runs.py        the calls of RunService
    failures.py    what a server says went wrong, as errors
"""

from solver.client.connection import DEFAULT_TIMEOUT_S
from solver.client.questions import Question, QuestionCalls
from solver.client.runs import RunCalls

__all__ = ["DEFAULT_TIMEOUT_S", "Client", "Question"]


class Client(QuestionCalls, RunCalls):
    """A connection to a solver server, and all calls that can be made on it."""
