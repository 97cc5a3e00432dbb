"""What the benchmarks run in interpreters of their own: the peers' code, and ours."""
