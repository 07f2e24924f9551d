"""Plain frozen records and exact arithmetic: the question, the answer, and the figures between them.

Floor 0: imports pydantic and the standard library only. Nothing here knows a solver, a wire format or a file.
"""
