"""The gRPC server in front of the solver: an asyncio front that never solves, and solver processes that may die.

`app` puts it together, `servicer` answers calls, `pool` keeps the solver processes, `solver_process` is what runs in
them, and `tasks` holds one function per RPC. Describes itself in docs/server.md.
"""
