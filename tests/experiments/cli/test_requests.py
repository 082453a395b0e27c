"""What can be asked, and how a request that makes no sense is refused: one sentence, status 2, nothing stored."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from diagnostics.store import Store
from experiments import cli
from experiments.cli.parser import SEVERAL, flag, parse, settings
from experiments.cli.run import requested
from experiments.presets import PRESETS
from experiments.spec import FIELDS, Refusal, RunSpec
from tests.experiments.cli.conftest import Said


def specs(*arguments: str) -> list[RunSpec]:
    return requested(parse(["run", *arguments]))


def test_every_setting_has_a_flag_and_nothing_given_is_the_default() -> None:
    assert settings(parse(["run"])) == {}
    assert specs() == [RunSpec.make()]
    for name, field in FIELDS.items():
        value = [str(field.default) if field.default is not None else "7"] if field.kind != "switch" else []
        assert list(settings(parse(["run", flag(name), *value]))) == [name]


def test_the_flags_of_the_readme_reach_the_spec() -> None:
    (spec,) = specs(
        *("--task", "copy", "--gap", "30", "--cell", "lstm", "--clip", "norm:2.5", "--steps", "9", "--seed", "4"),
        *("--hidden", "8", "--layers", "2", "--batch", "3", "--learning-rate", "1e-3", "--optimizer", "sgd"),
        *("--init", "scaled:1.5", "--gate-bias", "-1", "--device", "cpu", "--record-every", "2"),
    )
    assert spec == RunSpec.make(
        task="copy", gap=30, cell="lstm", clip="norm:2.5", steps=9, seed=4, hidden=8, layers=2, batch=3,
        learning_rate=1e-3, optimizer="sgd", init="scaled:1.5", gate_bias=-1.0, device="cpu", record_every=2,
    )  # fmt: skip


def test_several_values_make_one_run_for_each_combination() -> None:
    assert SEVERAL == ("cell", "clip", "seed")
    made = specs("--cell", "tanh", "gru", "--clip", "none", "norm:1", "--seed", "0", "1", "2")
    assert len(made) == 12
    assert [s.seed for s in made[:3]] == [0, 1, 2]
    assert made[0].clip == "none"


def test_a_spec_file_is_repeated_to_the_letter_and_flags_change_it(tmp_path: Path) -> None:
    spec = RunSpec.make(cell="gru", gate_bias=0.5, steps=7)
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec.to_json()))
    assert specs("--spec", str(file)) == [spec]
    changed = specs("--spec", str(file), "--seed", "1", "2", "--steps", "9")
    assert [(s.seed, s.steps, s.gate_bias) for s in changed] == [(1, 9, 0.5), (2, 9, 0.5)]
    file.write_text(json.dumps([spec.to_json(), RunSpec.make().to_json()]))
    assert specs("--spec", str(file)) == [spec, RunSpec.make()]


def test_a_preset_is_where_to_start_and_flags_change_it() -> None:
    for key, preset in PRESETS.items():
        assert specs("--preset", key) == preset.specs()
    made = specs("--preset", "closed-gate", "--steps", "5", "--seed", "1", "2")
    assert {(s.steps, s.seed) for s in made} == {(5, 1), (5, 2)}
    assert len(made) == 2 * len(PRESETS["closed-gate"].specs())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            [],
            "A command must be one of run, sweep, list, show, inspect, clip, export, import, delete, doctor, "
            "but got none",
        ),
        (["shwo"], "invalid choice: 'shwo'"),
        (["run", "--hiden", "4"], "does not know '--hiden' (did you mean --hidden?)"),
        (["run", "--steps"], "--steps: expected one argument"),
        (["run", "--steps", "many"], "steps must be a whole number, but got 'many'"),
        (["run", "--steps", "1e3"], "steps must be a whole number, but got '1e3'"),
        (["run", "--hidden", "1000000000"], "hidden must be at most 1024, but got 1000000000"),
        (["run", "--gap", "10000000"], "gap must be from 2 to 500 for the task france, but got 10000000"),
        (["run", "--gap", "20", "--length", "10"], "length must be at least"),
        (["run", "--learning-rate", "nan"], "learning_rate must be a finite number, but got nan"),
        (["run", "--learning-rate", "fast"], "learning_rate must be a number, but got 'fast'"),
        (["run", "--cell", "tahn"], "cell must be one of tanh, sigmoid, relu"),
        (["run", "--clip", "norm"], "clip"),
        (["run", "--clip", "norm:-1"], "clip must have a threshold"),
        (["run", "--gate-bias", "open"], "gate_bias"),
        (["run", "--seed", "-1"], "seed must be at least 0, but got -1"),
        (["run", "--task", "itany"], "task must be one of france"),
        (["run", "--preset", "none-such"], "preset must be one of"),
        (["run", "--preset", "a", "--spec", "b"], "from --spec or from --preset, but got both"),
        (["run", "--spec", "/none/such.json"], "--spec must be a file that can be read"),
        (["show"], "The following arguments are required: RUN"),
        (["show", "r-none"], "RUN must be the id of a stored run, but got 'r-none'"),
        (["export", "c-none"], "RUN must be the id of a stored run or comparison, but got 'c-none'"),
        (["export", "r-none", "--format", "gif"], "invalid choice: 'gif'"),
        (["import", "/none/such.zip"], "The bundle /none/such.zip cannot be opened"),
        (["delete", "r-none"], "RUN must be the id of a stored run"),
        (["delete", "r-none", "--purge", "--undo"], "not allowed with"),
    ],
)
def test_a_request_that_makes_no_sense_is_one_sentence(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    for json_flag in ([], ["--json"]):
        assert cli.main([*store, *arguments, *json_flag]) == 2
        said = capsys.readouterr()
        assert words in said.err
        assert said.err.count("\n") == 1
        assert (json.loads(said.out)["error"] + "\n" == said.err) if json_flag else said.out == ""
    assert not list((tmp_path / "store").glob("runs/*"))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "[7]", "NaN", '{"hidden": NaN}', "[" * 50_000])
def test_a_spec_file_that_is_none_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "spec.json"
    file.write_text(text)
    assert cli.main(["run", "--spec", str(file), "--store", str(tmp_path / "store")]) == 2
    assert capsys.readouterr().err.startswith("--spec must ")


def test_a_spec_file_with_an_unknown_setting_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "spec.json"
    file.write_text('{"hiddn": 4}')
    assert cli.main(["run", "--spec", str(file), "--store", str(tmp_path / "store")]) == 2
    assert "did you mean 'hidden'?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "list", "show", "clip", "export", "import", "delete", "doctor", ""])
def test_help_is_there_for_each_command(command: str, say: Callable[..., Said]) -> None:
    said = say(*filter(None, [command, "--help"]))
    assert said.status == 0
    assert "--store DIR" in said.out
    assert "--json" in said.out


def test_what_should_not_happen_is_a_sentence_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from experiments.cli import look

    def fail(asked: object) -> int:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(look, "list_command", fail)
    assert cli.main(["list", "--store", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("This should not have happened (ZeroDivisionError: a b)")
    assert said.count("\n") == 1


def test_a_store_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("hello")
    assert cli.main(["list", "--store", str(tmp_path / "file")]) == 2
    assert "the store must be a folder" in capsys.readouterr().err


def test_a_store_that_cannot_be_made_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["run"], ["run", "--json"], ["list"]):
        assert cli.main([*arguments, "--store", "/dev/null/store"]) == 2
        assert capsys.readouterr().err == "the store /dev/null/store cannot be made: Not a directory\n"


def test_the_list_says_what_it_had_to_leave_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store.open(tmp_path / "store")
    store.create([{"steps": 1}, {"steps": 2}], ["hurt", "sound"])
    with closing(sqlite3.connect(store.layout.catalog)) as catalog:
        catalog.execute("UPDATE run SET spec = '{' WHERE name = 'hurt'")
        catalog.commit()
    assert cli.main(["list", "--store", str(store.path)]) == 0
    said = capsys.readouterr()
    assert "sound" in said.out
    assert "hurt" not in said.out
    assert said.err.startswith("A line of the catalog is damaged")
    assert cli.main(["doctor", "--store", str(store.path)]) == 1
    assert "the catalog's line of run" in capsys.readouterr().out


def test_models_directions_and_softmaxes_are_asked_for_by_name() -> None:
    (bag,) = specs("--task", "sentiment", "--gap", "8", "--model", "bag")
    assert bag == RunSpec.make(task="sentiment", gap=8, model="bag")
    (both,) = specs("--task", "entities", "--gap", "4", "--bidirectional")
    assert both == RunSpec.make(task="entities", gap=4, bidirectional=True)
    (noise,) = specs("--task", "words", "--gap", "4", "--softmax", "nce")
    assert noise == RunSpec.make(task="words", gap=4, softmax="nce")


def test_a_direction_of_a_spec_file_can_be_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(RunSpec.make(task="entities", gap=4, bidirectional=True).to_json()))
    (one,) = specs("--spec", str(file), "--no-bidirectional")
    assert one == RunSpec.make(task="entities", gap=4)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_text_comes_from_the_line_or_from_a_file(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "text"
    file.write_bytes("Über allen\r\nGipfeln ist Ruh".encode(encoding))
    (read,) = specs("--task", "text", "--gap", "5", "--text-file", str(file))
    (said,) = specs("--task", "text", "--gap", "5", "--text", "Über allen\nGipfeln ist Ruh")
    assert read == said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"a\xff", "the file must be text in UTF-8, or in UTF-16 with its byte order mark, but byte 2 is 0xFF"),
        (b"ab" * 50_000, "text must have at most 20,000 characters, but the file has more"),
    ],
)
def test_a_file_that_is_no_text_is_refused_in_a_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    file = tmp_path / "text"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Refusal, match=re.escape(sentence)) as refusal:
        specs("--task", "text", "--text-file", str(file))
    assert "\n" not in str(refusal.value)


def test_a_text_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(Refusal, match="not allowed with argument --text"):
        specs("--task", "text", "--text", "hello", "--text-file", str(tmp_path / "text"))
