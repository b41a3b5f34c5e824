"""Whether corrections help."""

import pytest

from m2bert.learning.corrections import has_helped


@pytest.mark.parametrize(
    ("right_after", "changed", "helped"), [(6, 50, True), (6, 70, False), (0, 0, False)]
)
def test_corrections_help_if_more_of_them_than_of_other_notes_change(right_after, changed, helped):
    counts = {"labelled_notes": 10, "right_before": 0, "other_notes": 100}
    assert (
        has_helped(counts | {"right_after": right_after, "other_notes_changed": changed}) is helped
    )
