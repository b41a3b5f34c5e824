"""Names of classes that users write, as labels in tables or as names of folders."""

import unicodedata
from collections.abc import Iterable

from m2bert.base.errors import UserError


def normalised(name: str) -> str:
    """Text with composed characters (NFC): macOS decomposes the umlauts of file names."""
    return unicodedata.normalize("NFC", name)


def check_class_names(names: Iterable[tuple[str, object]]) -> None:
    """Raise `UserError` if a name contains a slash, or two differ only in case or spaces.

    names: each with the place where it was found.
    """
    first: dict[str, tuple[str, object]] = {}
    for name, place in names:
        if "/" in name:
            raise UserError(f"{place}: the class {name!r} contains a slash: rename it")
        other, where = first.setdefault(" ".join(name.split()).casefold(), (name, place))
        if name != other:
            raise UserError(
                f"the classes {other!r} ({where}) and {name!r} ({place}) differ only in case or "
                "spaces: use one name"
            )
