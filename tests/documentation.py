"""Commands in Markdown: what a page has its reader type, and whether they printed what the page shows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

# What is typed; blocks of other languages are files, which their titles name, or only show something.
FENCES = ("sh", "console", "python")
LEARNED = "<!-- The tests type the commands above this line. -->"
"""In a page whose rest is for looking up."""
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
_FENCE = re.compile(
    r"^(?P<before>[^\n]*\n)?```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

# What differs from run to run, and what is taken for it: made-up names, ids and digests, ports, durations,
# and numbers with a point, which are measured. Whole numbers are counted, and have to be the same.
_VARIES = {
    r"\b[a-z]+-[a-z]+-\d+\b": r"[a-z]+-[a-z]+-\d+",
    r"\b(?=[a-f]*\d)[0-9a-f]{8,40}\b": r"[0-9a-f]{8,40}",
    r"127\.0\.0\.1:\d+": r"127\.0\.0\.1:\d+",
    r"\b\d+(?:\.\d+)? (?:s|min|h|MB|kB|B)\b": r"\d+(?:\.\d+)? (?:s|min|h|MB|kB|B)\b",
    r"[+-]?\d+\.\d+(?:e[+-]\d+)?": r"[+-]?\d+(?:\.\d+)?(?:e[+-]\d+)?",
    r"\s+": r"\s+",
    "…": ".*",
}
_TOKEN = re.compile("|".join(f"({pattern})" for pattern in _VARIES))


@dataclass(frozen=True)
class Block:
    """A block of a page: its place there, its commands, each with the output that the page shows or None."""

    page: str
    line: int
    commands: tuple[tuple[str, str | None], ...]
    not_run: str | None = field(default=None)


def blocks(page: Path) -> list[Block]:
    """All blocks of a page that somebody types, in order."""
    text = _learned(page)
    results = []
    for match in _FENCE.finditer(text):
        if match["language"] in FENCES or match["title"]:
            reason = NOT_RUN.search(match["before"] or "")
            line = text.count("\n", 0, match.start("text")) + 1
            title = match["title"]
            commands = tuple(
                [(_writing(title, match["text"]), None)]
                if title
                else _commands(match["language"], match["text"])
            )
            results.append(Block(page.name, line, commands, reason[1] if reason else None))
    return results


def others(page: Path) -> list[str]:
    """The languages of all other blocks; "indented" for those without a fence."""
    text = _learned(page)
    fenced = [
        match["language"]
        for match in _FENCE.finditer(text)
        if match["language"] not in FENCES and not match["title"]
    ]
    prose = _FENCE.sub("", text)
    return fenced + ["indented"] * len(re.findall(r"\n\n {4,}\S", prose))


def _learned(page: Path) -> str:
    return page.read_text().partition(LEARNED)[0]


def matches(shown: str, printed: str) -> bool:
    """Whether this is the output that a page shows. A line `…` stands for any lines, within one for any text.

    Empty lines, and how wide the columns of a table are, make no difference.
    """
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    first, *others = _parts(shown)
    if not _begins(first, lines):
        return False
    rest = lines[len(first) :]
    for part in others[:-1]:
        start = next((at for at in range(len(rest)) if _begins(part, rest[at:])), None)
        if start is None:
            return False
        rest = rest[start + len(part) :]
    if not others:
        return not rest
    last = others[-1]
    return len(last) <= len(rest) and _begins(last, rest[len(rest) - len(last) :])


def _parts(shown: str) -> list[list[re.Pattern[str]]]:
    """The lines between those that say `…`."""
    parts: list[list[re.Pattern[str]]] = [[]]
    for line in filter(None, map(str.strip, shown.splitlines())):
        if line == "…":
            parts.append([])
        else:
            parts[-1].append(re.compile(_pattern(line)))
    return parts


def _begins(part: list[re.Pattern[str]], lines: list[str]) -> bool:
    return len(part) <= len(lines) and all(
        pattern.fullmatch(line) for pattern, line in zip(part, lines, strict=False)
    )


def _writing(file: str, text: str) -> str:
    return f"mkdir -p $(dirname '{file}') && cat > '{file}' <<'END'\n{text}END"


def _commands(language: str, text: str) -> list[tuple[str, str | None]]:
    if language == "python":
        return [(f"python - <<'END'\n{text}END", None)]
    if language == "sh":
        return [(command, None) for command in re.findall(r"(?:.*\\\n)*.+", text)]
    entries = re.findall(r"^\$ ((?:.*\\\n)*.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    return [(command, output if output.strip() else None) for command, output in entries]


def _pattern(line: str) -> str:
    end, pieces = 0, []
    for token in _TOKEN.finditer(line):
        pieces += [re.escape(line[end : token.start()]), list(_VARIES.values())[(token.lastindex or 1) - 1]]
        end = token.end()
    return "".join([*pieces, re.escape(line[end:])])
