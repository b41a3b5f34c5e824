"""Measurements of speed; README.md has the results."""

import m2bert  # noqa: F401  (before torch: it chooses how torch allocates)
