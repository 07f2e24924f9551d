"""Estimates: a model's shape -> memory, host RAM and time of its training; and fits to measured steps.

Knows the records only: no files, no solver. What is estimated, from which formula and how far it holds: docs/model.md.
"""

from solver.estimate.complete import FILLED, completed
from solver.estimate.counts import fitting_ffn, largest_layer_parameters, layer_parameters, parameter_count
from solver.estimate.memory import States, model_states, sample_bytes

__all__ = [
    "FILLED",
    "States",
    "completed",
    "fitting_ffn",
    "largest_layer_parameters",
    "layer_parameters",
    "model_states",
    "parameter_count",
    "sample_bytes",
]
