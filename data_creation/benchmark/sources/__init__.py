"""SMCBenchmark's arrays from the data sets that they were made of: one small reader a source, and
`table`, which lists them (`docs/METHOD.md`, "Sources of the benchmark", has the rules)."""
