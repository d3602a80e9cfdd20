"""A strict reader of Dockerfiles: what it does not know it refuses by name and line, it never guesses.

The language: https://docs.docker.com/reference/dockerfile/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

KNOWN = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD", "LABEL"}
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S+))?\s+")
_FLAGS = {"FROM": {"platform"}, "COPY": {"from", "chown", "chmod", "link"}, "RUN": {"mount"}}
_VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})")
_PAIR = re.compile(r"""\s*([\w.\-/]+)=((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*)""")


class DockerfileError(ValueError):
    """A line that is wrong, or that this machine's runner of Dockerfiles does not know."""


@dataclass(frozen=True)
class Instruction:
    """One instruction; `text` is what follows its flags, before variables are put in."""

    line: int
    name: str
    flags: tuple[tuple[str, str], ...]
    text: str

    def flag(self, name: str) -> str | None:
        """The flag's value, None if it is not given."""
        return next((value for flag, value in self.flags if flag == name), None)

    def words(self) -> tuple[str, ...] | None:
        """The arguments of the exec form (a JSON list), None in the shell form."""
        if not self.text.startswith("["):
            return None
        try:
            words = json.loads(self.text)
        except ValueError:
            return None  # as Docker does: what is no JSON list is for the shell
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise DockerfileError(f"line {self.line}: {self.name} takes a list of strings, not {self.text}")
        return tuple(words)

    def pairs(self) -> list[tuple[str, str]]:
        """The `key=value` pairs of ENV, ARG and LABEL.

        Raises
        ------
        DockerfileError
            For the old form without `=`.
        """
        found, at = [], 0
        while at < len(self.text.rstrip()):
            match = _PAIR.match(self.text, at)
            if match is None:
                raise DockerfileError(f"line {self.line}: {self.name} takes KEY=VALUE pairs, not {self.text[at:]!r}")
            found.append((match[1], _unquote(match[2])))
            at = match.end()
        return found

    def __str__(self) -> str:
        flags = "".join(f"--{name}{'=' + value if value else ''} " for name, value in self.flags)
        return f"{self.name} {flags}{self.text}"


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile.

    Raises
    ------
    DockerfileError
        For an instruction, flag or form that is not known here, with its line.
    """
    found = []
    for line, joined in _logical_lines(text):
        name, _, rest = joined.partition(" ")
        name = name.upper()
        if name not in KNOWN:
            raise DockerfileError(f"line {line}: {name} is not known here; known are {', '.join(sorted(KNOWN))}")
        rest = rest.strip()
        flags = []
        while match := _FLAG.match(rest):
            if match[1] not in _FLAGS.get(name, set()):
                raise DockerfileError(f"line {line}: {name} --{match[1]} is not known here")
            flags.append((match[1], match[2] or ""))
            rest = rest[match.end() :]
        if not rest:
            raise DockerfileError(f"line {line}: {name} has no arguments")
        if re.search(r"<<-?\s*[\"']?\w", rest) and name in {"RUN", "COPY"}:
            raise DockerfileError(f"line {line}: {name} with a here-document is not known here")
        _check_mounts(line, flags)
        found.append(Instruction(line, name, tuple(flags), rest))
    if next((each.name for each in found if each.name != "ARG"), None) != "FROM":
        raise DockerfileError("a Dockerfile begins with FROM (only ARG may stand before it)")
    return found


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Put variables into `text`: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`; unknown ones are empty."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "\\$":
            return "$"
        found = variables.get(match[1] or match[2], "")
        if match[3] == ":-":
            return found or match[4]
        if match[3] == ":+":
            return match[4] if found else ""
        return found

    return _VARIABLE.sub(value, text)


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with their continuations joined, without comments and empty lines."""
    found: list[tuple[int, str]] = []
    joined, begin = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not found and not joined and re.fullmatch(r"#\s*escape\s*=\s*`", stripped):
            raise DockerfileError(f"line {number}: the escape directive is not known here")
        if not stripped or stripped.startswith("#"):
            continue
        begin = begin or number
        if stripped.endswith("\\"):
            joined += stripped[:-1]
            continue
        found.append((begin, (joined + stripped).strip()))
        joined, begin = "", 0
    if joined:
        raise DockerfileError(f"line {begin}: the file ends within this instruction")
    return found


def _check_mounts(line: int, flags: list[tuple[str, str]]) -> None:
    for name, value in flags:
        if name == "mount" and not value.startswith("type=cache"):
            raise DockerfileError(f"line {line}: RUN --mount={value} is not known here, only type=cache")


def _unquote(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        if match[1] is not None:
            return re.sub(r"\\([\"\\])", r"\1", match[1])
        return match[2] if match[2] is not None else match[3]

    # `\$` stays as it is: it is for `substitute`
    return re.sub(r"\"((?:\\.|[^\"\\])*)\"|'([^']*)'|\\([^$])", plain, text)
