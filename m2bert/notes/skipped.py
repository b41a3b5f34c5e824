"""Reports on files that give no song, and on malformed files that give one."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from m2bert.base.errors import UserError

SHOWN = 10

Entry = dict[str, str]
"""Of a file without a song: `file`, `reason` and `detail`."""

Tallies = dict[str, int]
"""What is wrong in a file (`legal_midi`), and how often."""

# Why a file gives no song: a few reasons, by which files are counted; also its time signature.
UNREADABLE = "unreadable"
SEVERAL_PIECES = "several pieces in a file"
NO_TIME_SIGNATURE = "no time signature"
SEVERAL_TIME_SIGNATURES = "more than one time signature"
NO_USABLE_NOTES = "no usable notes"
NOT_INSTALLED = "a library is not installed"


class RejectedSong(UserError):
    """A file that gives no song: `reason` is one of those above, `detail` any text."""

    def __init__(self, reason: str, detail: str, path: Path | None = None) -> None:
        super().__init__(reason, detail, path)
        self.reason, self.detail, self.path = reason, detail, path

    def __str__(self) -> str:
        text = f"{self.reason} ({self.detail})"
        return text if self.path is None else f"{self.path} cannot be used: {text}"


def count_by_reason(skipped: Sequence[Entry]) -> dict[str, int]:
    """Reason -> number of files, the most frequent first."""
    return dict(Counter(entry["reason"] for entry in skipped).most_common())


def print_counts(skipped: Sequence[Entry]) -> None:
    """One line: how many there are, by reason."""
    reasons = [f"{reason} {count:,}" for reason, count in count_by_reason(skipped).items()]
    print(f"  skipped {len(skipped):,} files: {', '.join(reasons) or 'none'}")


def print_first(skipped: Sequence[Entry]) -> None:
    for entry in skipped[:SHOWN]:
        print(f"    {entry['file']}: {entry['reason']} ({entry['detail']})")
    if len(skipped) > SHOWN:
        print(f"    and {len(skipped) - SHOWN:,} more")


def print_skipped(skipped: Sequence[Entry]) -> None:
    print_counts(skipped)
    print_first(skipped)


def in_words(tallies: Tallies) -> str:
    return ", ".join(f"{what} ({count:,})" for what, count in sorted(tallies.items()))


def count_files_by_defect(by_file: Iterable[Tallies]) -> Tallies:
    return Counter(what for defects in by_file for what in defects)


def print_defects(by_file: Iterable[Tallies]) -> None:
    """One line, if there are any: the number of files with each."""
    if counts := count_files_by_defect(by_file):
        print(f"  malformed, but read: {in_words(counts)}")
