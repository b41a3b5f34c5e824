"""Find the phrases of style.txt in README, docs, model cards, scripts, and strings of the code.

python scripts/check_style.py
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = (
    *("*.md", "docs/*.md", "benchmarks/*.md", "models/README.md", "models/*/README.md"),
    *("tests/golden/README.md", "*.sh", "scripts/*.sh", "m2bert/**/*.html"),
)
CODE = ("m2bert/**/*.py", "data_creation/**/*.py")


def main() -> int:
    phrases, exceptions = read_list(REPOSITORY / "scripts/style.txt")
    found = 0
    for path in (path for glob in PAGES + CODE for path in sorted(REPOSITORY.glob(glob))):
        name, source = path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for first, text in texts(path, source):
            for match in phrases.finditer(text):
                number = first + text.count("\n", 0, match.start())
                if not any(name == file and part in lines[number - 1] for file, part in exceptions):
                    found += 1
                    print(f"{name}:{number}: {' '.join(match[0].split())!r}")
    if found:
        print(f"{found} phrases: scripts/style.txt has the words to use instead")
    return 1 if found else 0


def read_list(path: Path) -> tuple[re.Pattern, list[tuple[str, str]]]:
    """The phrases as one pattern, and the exceptions as (file, part of the line)."""
    phrases, exceptions = (
        [line for line in part.splitlines() if line and not line.startswith("#")]
        for part in path.read_text(encoding="utf-8").split("[exceptions]")
    )
    pattern = re.compile("|".join(phrase.replace(" ", r"\s+") for phrase in phrases))
    return pattern, [tuple(line.split(": ", 1)) for line in exceptions]


def texts(path: Path, source: str) -> Iterator[tuple[int, str]]:
    """The number of the first line, and the text, of a page or of each string in code."""
    if path.suffix != ".py":
        yield 1, source
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


if __name__ == "__main__":
    sys.exit(main())
