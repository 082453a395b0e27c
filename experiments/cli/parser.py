"""What can be asked on the command line. The flags of ``run`` are read off ``FIELDS``, so that page and command line
offer the same settings with the same words."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from diagnostics.inspection import SECTIONS
from diagnostics.version import VERSION
from experiments.cli.words import plain
from experiments.spec import FIELDS, FieldInfo, Refusal
from tasks import characters

SEVERAL = ("cell", "clip", "seed")
"""Settings that take several values: one run for each combination."""

TEXT_FILE_BYTES = 4 * (characters.MOST_CHARACTERS + 1)
"""No character takes more than four bytes, and a mark may stand before them."""

FORMATS = ("bundle", "report", "csv", "html", "png", "svg", "pdf")

_EXAMPLES = """\
examples:
  python -m experiments run --preset gates-remember
  python -m experiments run --task france --gap 40 --cell tanh relu gru lstm --steps 500 --seed 0
  python -m experiments run --cell tanh --init scaled:2 --clip none norm:1.0 value:0.1 --seed 0 1 2 --json
  python -m experiments sweep --preset needed
  python -m experiments list
  python -m experiments show RUN
  python -m experiments inspect RUN --step 0 --sections theory lyapunov
  python -m experiments clip RUN --threshold 1.0
  python -m experiments export RUN RUN --to comparison.zip
  python -m experiments export COMPARISON --inspect --to report.html
  python -m experiments run --spec spec.json

Runs live in the folder that --store or the variable GRADREACH_STORE names, else in ./runs.
Exit status: 0 it ran to its end or diverged, 1 it failed or was stopped, 2 the request was refused."""


class _Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one sentence instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise Refusal(f"{message[:1].upper()}{message[1:]}; see: {self.prog} --help")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The request; raises ``Refusal`` where it cannot be understood. ``--help`` prints and leaves, as usual."""
    parser = _build()
    found, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise Refusal(_unknown(unknown[0], found.command, parser.prog))
    if found.command is None:
        raise Refusal(f"A command must be one of {', '.join(_COMMANDS)}, but got none; see: {parser.prog} --help")
    return found


def settings(asked: argparse.Namespace) -> dict[str, Any]:
    """The settings of ``run`` that were given, each as a list of values where it takes several."""
    return {name: getattr(asked, name) for name in FIELDS if hasattr(asked, name)}


def flag(name: str) -> str:
    """The flag of a setting: ``--learning-rate`` for ``learning_rate``."""
    return "--" + name.replace("_", "-")


def _build() -> _Parser:
    parser = _Parser(
        prog="python -m experiments",
        description="gradreach: see how far back a recurrent network can learn.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_everywhere(first=True)],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gradreach {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, (add, words) in _COMMANDS.items():
        add(
            commands.add_parser(
                name, help=words, description=f"{words}.", parents=[_everywhere()], allow_abbrev=False,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )  # fmt: skip
    return parser


def _everywhere(first: bool = False) -> _Parser:
    """The flags that stand before or after the command alike; the later one counts."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    silent = argparse.SUPPRESS  # so that a default after the command does not undo what was said before it
    parser.add_argument("--store", metavar="DIR", default=None if first else silent, help="where the runs are kept")
    parser.add_argument("--json", action="store_true", default=False if first else silent, help="print strict JSON")
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Several cells, clips or seeds make one run for each combination. The last two lines printed are the last\n"
        "run's verdict and its id. Ctrl-C stops the runs and keeps what they recorded; a second Ctrl-C leaves.\n"
        "With --json a verdict's kind is null where there is no gradient to judge: the run never began, or failed."
    )
    start = parser.add_argument_group("where to start from")
    start.add_argument("--preset", metavar="KEY", help="a prepared comparison; an unknown one lists them")
    start.add_argument("--spec", metavar="FILE", help="the JSON of a spec, or of several, as bundles hold them")
    start.add_argument("--name", default="", help="what to call the comparison")
    _add_settings(parser, "settings, each changing what --preset or --spec says", FIELDS)


def _add_settings(parser: argparse.ArgumentParser, title: str, names: Iterable[str]) -> None:
    group = parser.add_argument_group(title)
    for field in map(FIELDS.__getitem__, names):
        shared: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": _help(field)}
        if field.kind == "switch":
            group.add_argument(flag(field.name), action=argparse.BooleanOptionalAction, **shared)
            continue
        where: Any = group.add_mutually_exclusive_group() if field.name == "text" else group
        several = "+" if field.name in SEVERAL else None
        where.add_argument(flag(field.name), type=_reader(field), nargs=several, metavar=_metavar(field), **shared)
        if field.name == "text":
            shared["help"] = "The same from a file: UTF-8, or UTF-16 with its byte order mark."
            where.add_argument("--text-file", type=_text_file, metavar="FILE", **shared)


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Every threshold with each kind of clipping, on every cell, with every seed. Ctrl-C stops the sweep and keeps\n"
        "what has ended; --resume trains what is missing. The last line printed is the comparison's id.\n"
        "Exit status: 0 every run came to its end or diverged, 1 some broke off, 2 the request was refused."
    )
    start = parser.add_argument_group("what to sweep")
    start.add_argument("--preset", metavar="KEY", help="a prepared sweep; an unknown one lists them")
    start.add_argument(
        "--clip-thresholds", nargs="+", metavar="X,X,…", help="thresholds, separated by commas or spaces"
    )
    start.add_argument("--seeds", nargs="+", type=int, metavar="N", help="default 0 1 2")
    start.add_argument("--kinds", nargs="+", choices=("off", "norm", "value"), help="default: all three")
    start.add_argument(
        "--goal", type=float, metavar="X", help="the success that counts as having learned; default 0.95"
    )
    start.add_argument("--resume", metavar="ID", help="a sweep's comparison: train what broke off, and what is new")
    start.add_argument("--name", default="", help="what to call the comparison")
    names = [name for name in FIELDS if name not in ("clip", "seed")]
    _add_settings(parser, "settings, each changing what --preset says", names)


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--comparison", metavar="ID", help="only the runs of this comparison")
    parser.add_argument("--deleted", action="store_true", help="also runs that were deleted and can be restored")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the id of a run, or of a comparison to see its seeds together")
    parser.add_argument("--records", action="store_true", help="with --json: everything that was recorded")


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f"Sections: {', '.join(SECTIONS)}.\n"
        "With --json every quantity, with its axes, unit and meaning; the states and gates themselves only where\n"
        "--sections names states. Exit status 0 it was computed, 1 it failed, 2 the request was refused."
    )
    parser.add_argument("run", metavar="RUN", help="the id of a run")
    parser.add_argument(
        "--step", type=int, metavar="N", help="a training step whose weights were kept; left out, the last of them"
    )
    parser.add_argument("--samples", type=int, metavar="N", default=4, help="held-out samples of the probe; default 4")
    parser.add_argument("--sections", nargs="+", metavar="NAME", help="only these; left out, all")
    parser.add_argument("--timings", action="store_true", help="also how long each section took")


def _add_clip(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Every answer is about the gradients that the run had: clipped otherwise, training would have gone another\n"
        "way from the first clipped step on, which `sweep` tells. By norm a threshold is asked of every training\n"
        "step, exactly; by value of the recorded profiles, at the nearest of 1, 2, 3 and 5 of every decade."
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="the ids of runs or of comparisons")
    parser.add_argument(
        "--threshold", type=float, nargs="+", metavar="X", help="thresholds to ask; left out, those that are suggested"
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "csv writes a folder with the tables of each run; png, svg, pdf and html write one figure, or a folder with\n"
        "all of them where --figure is left out. png, svg and pdf need a Chrome or Chromium.\n"
        "What Inspect has found in the runs, or --inspect, is drawn too: in reports, in those of bundles, as figures."
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="the ids of runs or of comparisons")
    parser.add_argument("--to", metavar="PATH", help="the file or folder to write; left out, a name of its own here")
    parser.add_argument("--format", choices=FORMATS, default=None, help="left out, as the ending of --to says")
    parser.add_argument("--figure", metavar="KEY", help="only this figure; an unknown one lists them")
    parser.add_argument(
        "--inspect",
        action="store_true",
        help="first look inside every run, where that has not been done, so that its figures are there too",
    )
    parser.add_argument(
        "--step",
        type=int,
        metavar="N",
        help="with --inspect: at the training step nearest to N that each run kept; left out, at its last",
    )
    parser.add_argument(
        "--each-run",
        action="store_true",
        help="figures with a line per run, also for runs that differ only in their seed",
    )
    parser.add_argument("--force", action="store_true", help="write over what is there")


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a bundle")


def _add_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="the ids of runs")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--purge", action="store_true", help="for good: the files go too, and nothing brings them back")
    group.add_argument("--undo", action="store_true", help="bring back runs that were deleted but not purged")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit status 0 where nothing was found, 1 where something was."


def _reader(field: FieldInfo) -> Callable[[str], Any]:
    """Text as the number that it is, where the setting is one; what is none is left for the spec to refuse."""

    def read(text: str) -> Any:
        try:
            return int(text) if field.kind == "int" else float(text)
        except ValueError:
            return text

    numeric = field.kind in ("int", "float") or field.name == "gate_bias"
    return read if numeric else str


def _text_file(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            data = file.read(TEXT_FILE_BYTES + 1)
        if len(data) > TEXT_FILE_BYTES:
            raise ValueError(f"text must have at most {characters.MOST_CHARACTERS:,} characters, but the file has more")
        return characters.decode(data)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{plain(name)} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{plain(name)}: {error}") from None


def _metavar(field: FieldInfo) -> str:
    return {"int": "N", "float": "X"}.get(field.kind, "CHOICE" if field.choices else "VALUE")


def _help(field: FieldInfo) -> str:
    words = [field.help]
    if field.choices:
        words.append(f"One of {', '.join(field.choices)}.")
    if field.minimum is not None and field.maximum is not None:
        words.append(f"{field.minimum:g} to {field.maximum:g}{' ' + field.unit if field.unit else ''}.")
    if field.default is not None:
        words.append(f"Default {field.default}.")
    return " ".join(words).replace("%", "%%")


def _unknown(argument: str, command: str | None, prog: str) -> str:
    name = argument.split("=")[0]
    known = [flag(field) for field in FIELDS] + [
        "--text-file",
        "--preset",
        "--spec",
        "--name",
        "--json",
        "--store",
        "--records",
    ]
    if command == "sweep":
        known = [name for name in known if name not in ("--clip", "--seed", "--spec", "--records")]
        known += ["--clip-thresholds", "--seeds", "--kinds", "--goal", "--resume"]
    near = [longer for longer in known if longer.startswith(name)] or difflib.get_close_matches(name, known, 1)
    near = near if command in ("run", "sweep", None) else []
    hint = f" (did you mean {near[0]}?)" if near else ""
    where = f"{prog} {command}" if command else prog
    return f"{command or 'The command line'} does not know {argument[:80]!r}{hint}; see: {where} --help"


_COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "run": (_add_run, "Train one run or several, and say how far back they can learn"),
    "sweep": (_add_sweep, "Train clipping thresholds × cells × seeds, and say what comes of each"),
    "list": (_add_list, "List the runs that are stored, newest first"),
    "show": (_add_show, "Show one run: what was asked for, how it went, its verdict"),
    "inspect": (_add_inspect, "Look inside a run at a training step: Jacobians, Lyapunov exponents, gradients"),
    "clip": (_add_clip, "Say what a clipping threshold would have done to runs; nothing is trained again"),
    "export": (_add_export, "Write runs to a bundle, a report, tables or figures"),
    "import": (_add_import, "Add the runs of a bundle to the store"),
    "delete": (_add_delete, "Delete runs, or bring them back"),
    "doctor": (_add_doctor, "Check every file of the store"),
}
