"""Runs of what-if scenarios as a service: kept in a store, answered in the background, found again after any death.

`service` answers the calls of RunService, `tasks` is what solver processes do for them, `process` is the one process
that drives all runs and writes their answers, `link` is that process as the server sees it, and `config` what they
all say to each other. Describes itself in docs/server.md.
"""
