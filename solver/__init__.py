"""Which GPU rig to buy: the best cards, count, power limit and platform within given limits, proved optimal."""

__version__ = "0.1.0"
