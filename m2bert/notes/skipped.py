"""What is said of files that gave no song: entries of `file`, `reason` and `detail`."""

from collections import Counter
from collections.abc import Sequence

SHOWN = 10

Entry = dict[str, str]


def count_by_reason(skipped: Sequence[Entry]) -> dict[str, int]:
    """Reason -> number of files, the commonest first."""
    return dict(Counter(entry["reason"] for entry in skipped).most_common())


def print_counts(skipped: Sequence[Entry]) -> None:
    """One line: how many there are, by reason."""
    reasons = [f"{reason} {count:,}" for reason, count in count_by_reason(skipped).items()]
    print(f"  skipped {len(skipped):,} files: {', '.join(reasons) or 'none'}")


def print_first(skipped: Sequence[Entry]) -> None:
    """The first of them, a line each."""
    for entry in skipped[:SHOWN]:
        print(f"    {entry['file']}: {entry['reason']} ({entry['detail']})")
    if len(skipped) > SHOWN:
        print(f"    and {len(skipped) - SHOWN:,} more")
