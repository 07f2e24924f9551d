"""Files of what-if scenarios: read, expand, run on one process or many, keep every answer, resume, compare.

Floor 5. The seams for other engines: a `Batch` (engine.py) is picklable and holds all that its answers depend on,
`answer_batch` turns it into rows, and anything with `concurrent.futures.Executor.submit` can run it.
"""
