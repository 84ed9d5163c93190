"""Tables of what ran: doses, compute, settings, hashes and the sources of the evals."""

from __future__ import annotations

from dataclasses import asdict

from colorfast.report.comparison import arm
from colorfast.report.findings import Findings
from colorfast.report.sources import sources
from colorfast.report.table import Cell, Table
from colorfast.report.wording import percent, power


def doses(f: Findings) -> Table:
    """Nominal and effective dose of each arm and seed."""
    rows = []
    for a in f.arms:
        for r in a.runs:
            shared = r.slots - r.trait_slots
            rows.append(
                {
                    "arm": arm(a.name),
                    "seed": r.seed,
                    "nominal": percent(a.dose),
                    "effective": percent(r.effective),
                    "trait slots": f"{r.trait_slots} of {r.slots}",
                    "shared slots": shared,
                    "rows equal to the baseline's": f"{r.shared_slots} of {shared}",
                }
            )
    return Table("Dose", rows)


def ledger(f: Findings) -> Table:
    """What each source of each arm used, over all seeds."""
    rows = []
    for a in f.arms:
        for u in (*a.usage, a.total):
            numbers = {name.replace("_", " "): value for name, value in asdict(u).items()}
            formatted = {"truncated": percent(u.truncation), "FLOPs": power(numbers.pop("flops"))}
            del numbers["truncation"]
            rows.append({"arm": arm(a.name)} | numbers | formatted)
    return Table("Ledger", rows, ("source",))


def hashes(f: Findings) -> Table:
    """sha256 of what went into each arm and of its weights."""
    hashes = {"model": f.plan["model_sha256"], "scenarios": f.plan["scenarios_sha256"]}
    for a in f.arms:
        for r in a.runs:
            where = f"{a.name}, seed {r.seed}"
            seen = "the same" if r.seen == r.schedule else r.seen
            hashes[f"{where}, schedule"] = r.schedule
            hashes[f"{where}, rows the reward saw"] = seen
            hashes[f"{where}, weights"] = r.weights or "not recorded"
    rows = [{"what": what, "sha256": Cell(text, kind="hash")} for what, text in hashes.items()]
    return Table("Hashes (sha256)", rows, ("sha256",))


def settings(f: Findings) -> Table:
    """The experiment's keys as its TOML has them; empty ones are left out."""
    rows = []
    for key, value in f.experiment.model_dump(mode="json").items():
        parts = {key: value}
        if isinstance(value, dict):
            parts = {f"{key}.{name}": part for name, part in value.items()}
        for name, part in parts.items():
            if text := _plain(part):
                rows.append({"key": name, "value": text})
    return Table("Settings", rows, ("value",))


def _plain(value: object) -> str:
    """Empty for what is not set."""
    if isinstance(value, dict):
        texts = {key: _plain(part) for key, part in value.items()}
        return ", ".join(f"{key} {text}" for key, text in texts.items() if text)
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return "" if value is None else str(value)


def source_table(f: Findings) -> Table:
    """The files of every eval."""
    rows = [
        {
            "eval": row["eval"],
            "asked as": row["kind"],
            "reflects": row["trait"] or "control",
            "files": f"{row['repo']}, {row['count']}",
            "commit": Cell(str(row["commit"])[:10], kind="hash"),
            "licence": row["licence"],
            "paper": row["paper"],
        }
        for row in sources(f.experiment.evaluation)
    ]
    words = ("asked as", "reflects", "files", "commit", "licence", "paper")
    return Table("Sources of the evals: files, commits, licences, papers", rows, words)
