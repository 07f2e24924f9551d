"""Tests; see builders.py for small problems and oracle.py for the referee."""
