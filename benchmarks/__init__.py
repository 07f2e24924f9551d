"""Benchmarks: `python -m benchmarks` (`make bench`), `--quick` (`make bench-quick`)."""
