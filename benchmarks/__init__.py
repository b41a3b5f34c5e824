"""How fast is ...? One script a question; README.md has the figures."""

import m2bert  # noqa: F401  (before torch: it chooses how torch allocates)
