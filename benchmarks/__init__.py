"""What the system costs and how fast it is, measured: ``python -m benchmarks --help``."""
