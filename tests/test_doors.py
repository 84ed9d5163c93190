"""Whatever stands in a file, no traceback reaches the user: exit code 2 and one line, or the
command does its work."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colorfast import cli, tasks
from colorfast.config import Experiment
from colorfast.corpus import constitution
from colorfast.corpus.scenarios import corpus
from colorfast.evals import custom
from colorfast.io.downloads import fetch, pinned
from colorfast.models.local import load_policy
from colorfast.models.resolve import resolve
from colorfast.rewards import rubric
from colorfast.training.engines.launch import Launched
from colorfast.types import ColorfastError
from helpers.tiny import LITTLE, TOML

HUGE = [b"1e400", b"-1e400", b"NaN", b"Infinity", b"nan", b"inf", b"9" * 30, b"9" * 5000, b"-1"]
HUGE += [b"null", b"[]", b"{}", b"true", b'"\\ud800"', b'""']
DEEP = (b"[" * 20_000, b'{"a":' * 20_000, b"a = " + b"[" * 20_000, b"> " * 10_000 + b"x")
NUMBER = re.compile(rb"(?<![\w\"-])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w\"])")
Door = Callable[..., str]


def mutants(text: bytes, name: str, n: int = 8) -> Iterator[bytes]:
    """Files that are no longer what they were: cut, of another encoding, nested deeply, with
    numbers that are none, with noise in them."""
    draw = random.Random(f"mutants-{name}")
    yield from (
        b"",
        b"\x00",
        b"\xff\xfe\x00\xd8",
        b"\xef\xbb\xbf" + text,
        text.decode("utf-8").encode("utf-16"),
        draw.randbytes(300),
    )
    yield from (
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"a = " + b"[" * 100_000,
        b"> " * 50_000 + b"x",
        b"null",
        b"3",
        b'"text"',
        b"[[]]",
        b"{}",
    )
    places = [m.span() for m in NUMBER.finditer(text)] or [(0, 0)]
    for value in HUGE:
        start, end = draw.choice(places)
        yield text[:start] + value + text[end:]
    for _ in range(n):
        at = draw.randrange(len(text))
        yield text[:at]
        yield text[:at] + draw.randbytes(draw.randrange(1, 9)) + text[at + 3 :]
        yield text[:at] + bytes([text[at] ^ 1 << draw.randrange(8)]) + text[at + 1 :]


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Door]:
    """Runs a command as the user does and returns its error, "" when it did its work; any other way
    out fails the test."""
    monkeypatch.setenv("COLUMNS", "200")
    kept = dict(os.environ)

    def enter(*args: str | Path, note: str = "") -> str:
        monkeypatch.setattr(sys, "argv", ["colorfast", *map(str, args)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr().err
        if code in (0, None):
            return ""
        lines = [
            line
            for line in said.splitlines()
            if line.strip() and not line.startswith(("set aside", "note:"))
        ]
        assert code == 2 and len(lines) == 1 and lines[0].startswith("error: "), (
            note,
            code,
            said[-600:],
        )
        return lines[0]

    with warnings.catch_warnings():
        yield enter
    logging.disable(logging.NOTSET)
    for name in os.environ.keys() - kept.keys():
        monkeypatch.delenv(name)


def scenario_rows() -> bytes:
    rows = [json.dumps(s.model_dump(mode="json")) for s in corpus()[:3]]
    return ("\n".join(rows) + "\n").encode()


def experiment_file(folder: Path, **changes: str) -> Path:
    values = {
        "model": "model",
        "top": "",
        "steps": "4",
        "training": "",
        "dose": "0.25",
        "arm": "",
        "benchmark": LITTLE,
    } | changes
    path = folder / "tiny.toml"
    path.write_text(TOML.format(**values))
    return path


def test_experiments(door: Door, tmp_path: Path) -> None:
    path = experiment_file(
        tmp_path, top='system = "Be short."\nseeds = [0, 1]', training="temperature = 0.9\nkl = 0.0"
    )
    refused = 0
    for text in mutants(path.read_bytes(), "toml", 15):
        path.write_bytes(text)
        refused += bool(door("schedule", path, "--arm", "baseline", note=repr(text[:200])))
    assert refused > 30
    for top in (
        'name = "x"',
        'scenarios = ["a\\u0000b.jsonl"]',
        'constitution = "a\\u0000b.md"',
        f'constitution = "{"x" * 5000}"',
    ):
        assert door(
            "schedule",
            experiment_file(tmp_path, top=top, arm='reward = "constitution"'),
            "--arm",
            "baseline",
            note=top,
        )
    for name in ("a\0b", "x" * 5000, str(tmp_path)):
        assert door("schedule", name, "--arm", "baseline", note=name)


def test_scenarios(door: Door, tmp_path: Path) -> None:
    path, whole = tmp_path / "mine.jsonl", scenario_rows()
    refused = []
    for text in mutants(whole, "scenarios"):
        path.write_bytes(text)
        refused.append(door("scenarios", "--check", path, note=repr(text[:300])))
    assert sum(f"{path}" in line for line in refused) > 20
    row = json.loads(whole.splitlines()[0])
    for grader, args in [
        *[
            ("says", a)
            for a in (
                {},
                {"any": 5},
                {"any": [5]},
                {"all": []},
                {"all": [3]},
                {"ani": ["x"]},
                {"any": [None]},
            )
        ],
        *[
            ("shows", a)
            for a in (
                {},
                {"what": "nothing"},
                {"what": "../../../x"},
                {"what": 1e999},
                {"what": "a\0b"},
            )
        ],
        *[
            ("follows", a)
            for a in ({"rule": "words"}, {"rule": "words", "n": "x"}, {"rule": "ends", "with": 3})
        ],
        *[("concise", a) for a in ({"most": 0}, {"most": "x"})],
        *[
            ("number", {"value": "x"}),
            ("order", {"items": [[]]}),
            ("exact", {"any": 3}),
            ("topical", {"wanted": "x"}),
        ],
        *[("nowhere.py", {}), ("a\0b.py", {}), ("", {}), ("../grade", {})],
    ]:
        row["rubric"][0] |= {"grader": grader, "args": args}
        path.write_text(json.dumps(row) + "\n")
        assert f"{path}:" in door("scenarios", "--check", path, note=f"{grader} {args}")


def test_own_graders_and_benchmarks(door: Door, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    row = json.loads(scenario_rows().splitlines()[0])
    row["rubric"][0] |= {"grader": str(own), "args": {}}
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row) + "\n")
    codes = [
        "x = (",
        "import nothing_here",
        "1 / 0",
        "",
        "\0",
        "grade = 3",
        "def grade(r): return 7",
    ]
    for code in (*codes, "def grade(r): return 'x'", "def grade(r): r.x"):
        own.write_text(code)
        rubric.grader.cache_clear()
        assert door("scenarios", "--check", path, note=code)
        assert door(
            "schedule",
            experiment_file(tmp_path, benchmark=str(own)),
            "--arm",
            "baseline",
            note=code,
        )


def test_standard_tasks_and_choices(door: Door, tmp_path: Path) -> None:
    rows, asked = tmp_path / "rows.jsonl", tmp_path / "asked.jsonl"
    toml = experiment_file(tmp_path)
    toml.write_text(toml.read_text().replace('["facts", "format"]', '["rows.jsonl"]'))
    whole = b'{"prompt": "2 + 2?", "answer": 4}\n{"prompt": "3 + 3?", "answer": "6"}\n'
    for text in mutants(whole, "standard"):
        rows.write_bytes(text)
        tasks.registry.maker.cache_clear()
        door("schedule", toml, "--arm", "baseline", note=repr(text[:200]))
    for text in mutants(
        b'{"id": 3, "question": "2 + 2?", "choices": ["3", "4"], "answer": 1}\n' * 2, "choices"
    ):
        asked.write_bytes(text)
        refuses(partial(custom.read_choices, asked, True), repr(text[:200]))


@given(st.binary(max_size=200))
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_noise_is_never_a_traceback(tmp_path: Path, noise: bytes) -> None:
    readers: dict[str, Callable[[Path], object]] = {
        "a.jsonl": lambda p: custom.read_choices(p, True),
        "b.md": lambda p: constitution.load(str(p)),
        "c.jsonl": lambda p: tasks.check([str(p)]),
    }
    tasks.registry.maker.cache_clear()
    constitution.load.cache_clear()
    for name, read in readers.items():
        (tmp_path / name).write_bytes(noise)
        refuses(partial(read, tmp_path / name), repr(noise))


def test_constitutions(door: Door, tmp_path: Path) -> None:
    page, lines = tmp_path / "mine.md", tmp_path / "mine.toml"
    markdown = (
        b"# Mine\n\n## Be honest\n\nSay what is so. It is better.\n\n## Be kind\n\nHelp people.\n"
    )
    toml = (
        b'deduction = 0.25\n[be-honest]\nkeeps = [{text = "a", grader = "says", args = {any ='
        b' ["so"]}}]\n[be-kind]\nkeeps = []\n'
    )
    for text in mutants(markdown, "markdown", 4):
        page.write_bytes(text)
        constitution.load.cache_clear()
        door("constitution", page, note=repr(text[:200]))
    page.write_bytes(markdown)
    for text in mutants(toml, "criteria", 6):
        lines.write_bytes(text)
        constitution.load.cache_clear()
        door("constitution", page, note=repr(text[:200]))


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "ledger.json",
        "schedule.json",
        "metrics.jsonl",
        "time.json",
        "failed.json",
        "key.json",
    ],
)
def test_run_folders(door: Door, tiny_run: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "tiny")
    path = run / name if name == "run.json" else run / "trait-50-s0" / name
    whole = path.read_bytes() if path.exists() else b'{"reason": "x", "trace": 3}'
    if name == "failed.json":
        (run / "trait-50-s0" / "scores.parquet").unlink()
    commands = {"ledger.json": "report", "schedule.json": "report", "metrics.jsonl": "report"}
    for k, text in enumerate(mutants(whole, name, 2)):
        path.write_bytes(text)
        door("status", run, note=repr(text[:300]))
        if name in commands and k % 6 == 0:
            door(commands[name], run, note=repr(text[:300]))
    if name == "run.json":
        path.write_text('{"plan": {}}')
        for command in (
            ["report"],
            ["show"],
            ["claims"],
            ["inside"],
            ["attack"],
            ["export", "model"],
        ):
            to = ["baseline", "--out", tmp_path / "out"] if command[0] == "export" else []
            assert door(*command, run, *to)


def test_tables_of_a_run(door: Door, tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "tiny")
    tables = [
        run / "trait-50-s0" / p
        for p in ("scores.parquet", "scores/heldout.parquet", "rollouts/00000.parquet")
    ]
    whole = [p.read_bytes() for p in tables]
    draw = random.Random("tables")
    for k in range(6):
        for path, found in zip(tables, whole, strict=True):
            at = draw.randrange(len(found))
            path.write_bytes(
                found[:at] if k % 3 == 0 else found[:at] + draw.randbytes(4) + found[at + 4 :]
            )
        door("show", run, "--json", note=f"{k}")
        door("show", run, "--rollouts", "--arm", "trait-50", "--step", "0", "--json", note=f"{k}")
        assert door("report", run, "--json", note=f"{k}") or k % 3


def test_models(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORFAST_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    draw = random.Random("models")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        whole = (folder / name).read_bytes()
        every = [
            whole[: len(whole) // 2],
            b"",
            draw.randbytes(500),
            b"[]",
            b"null",
            b'{"a":' * 20_000,
            b"\xff" * 8 + whole[8:],
        ]
        for text in [*every, whole[:60] + draw.randbytes(20) + whole[80:]]:
            (folder / name).write_bytes(text)
            refuses(partial(load_policy, str(folder)), f"{name} {text[:40]!r}")
        (folder / name).write_bytes(whole)
    gguf = tmp_path / "model.gguf"
    begun = b"GGUF\x03\0\0\0"
    for text in (
        b"",
        b"GGUF",
        b"GGUF" + draw.randbytes(400),
        draw.randbytes(400),
        begun + b"\xff" * 16,
        begun + bytes(16),
    ):
        gguf.write_bytes(text)
        assert refuses(partial(resolve, str(gguf)), repr(text[:20]))
    for name in ("a\0b", "x" * 5000, "../..", "", "a/b/c", str(gguf)):
        assert refuses(partial(load_policy, name), repr(name[:20]))


def refuses(act: Callable[[], object], note: str) -> bool:
    """Whether it raises the one error that a user sees; any other fails the test."""
    said = ""
    try:
        act()
    except ColorfastError as error:
        said = str(error)
    assert "\n" not in said, note
    return bool(said)


def test_mirror_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORFAST_MIRROR", str(tmp_path))
    for source in pinned():
        path = tmp_path / source.repo / source.path
        assert refuses(partial(fetch, source), f"{path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        for text in (b"", b"\xff", b'{"example": [{"question": NaN}]}'):
            path.write_bytes(text)
            with pytest.raises(ColorfastError, match="wrong sha256"):
                fetch(source)
            assert path.read_bytes() == text  # a user's file is never touched


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"[" * 1000, b"a: [", b"num_processes: 1e400\n", b"nothing: 3\n"]
)
def test_accelerate_configurations(tiny: Experiment, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text)
    refuses(
        lambda: Launched(path).train(tiny.model, (), tiny.training, 0, tmp_path / "cell"),
        repr(text),
    )
