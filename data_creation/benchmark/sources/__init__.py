"""One small reader a source (`docs/METHOD.md`, "Sources of the benchmark"); `table` lists them."""
