"""Problem -> CP-SAT model: pairs (variables and their figures), rules, goals, build. The only place that creates
solver variables. NumPy and OR-Tools are imported here, so nothing on the start-up path may import this package.
"""
