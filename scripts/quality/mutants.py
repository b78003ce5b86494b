"""Mutation tests: removes one guard after the other, and checks that the simulation or a test fails.

A guard whose removal fails no test is not tested. Each mutant is one change of the source, made in a copy of the tree;
one that survives is exit code 1. The lists are in `quality.mutant_lists`.

    scripts/mutants [--seeds N] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from quality.mutant import Mutant
from quality.mutant_lists import (
    commands,
    gateway,
    http,
    identity,
    kafka_input,
    kafka_output,
    ops,
    rules,
    runtime,
    simulation,
    sink,
    state,
    templates,
    tools,
    trigger_channels,
    trigger_decisions,
    trigger_times,
    triggers,
    wire,
    worker,
)

__all__ = ["BY_SIMULATION", "BY_TESTS", "Killed", "Mutant", "main", "tried"]

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("rules", "streams", "tests", "scripts", "pyproject.toml", "data", "docs")
SEEDS = 500
LIMIT_S = 280


BY_SIMULATION = simulation.MUTANTS
BY_TESTS = (
    *rules.MUTANTS,
    *identity.MUTANTS,
    *kafka_output.MUTANTS,
    *kafka_input.MUTANTS,
    *runtime.MUTANTS,
    *ops.MUTANTS,
    *http.MUTANTS,
    *state.MUTANTS,
    *worker.MUTANTS,
    *gateway.MUTANTS,
    *sink.MUTANTS,
    *wire.MUTANTS,
    *commands.MUTANTS,
    *triggers.MUTANTS,
    *trigger_decisions.MUTANTS,
    *trigger_times.MUTANTS,
    *trigger_channels.MUTANTS,
    *templates.MUTANTS,
    *tools.MUTANTS,
)


class Killed(NamedTuple):
    """The failure of a mutant, and after how many seeds; `None`: a test failed."""

    by: str
    seeds: int | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Check first that all tests pass unchanged, as a test that fails anyway would seem to miss the guard."""
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of the simulation, for each mutant")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only the guards whose names hold this")
    parsed = parser.parse_args(arguments)
    wanted = [
        mutant
        for mutant in (*BY_SIMULATION, *BY_TESTS)
        if not parsed.names or any(n in mutant.guard for n in parsed.names)
    ]
    for tests in sorted({mutant.tests for mutant in wanted} - {""}):
        if _run(ROOT, "-m", "pytest", "-q", "-x", tests)[0]:
            print(f"{tests} fails with every guard in its place; mend that first")
            return 1
    survived = 0
    for mutant, killed, seconds in tried(wanted, parsed.seeds):
        survived += killed is None
        print(f"{mutant.guard:52} {described(killed):60} {seconds:5.1f} s", flush=True)
    print(f"{len(wanted)} guards switched off, {survived} not missed")
    return 1 if survived else 0


def described(killed: Killed | None) -> str:
    if killed is None:
        return "SURVIVED"
    return killed.by if killed.seeds is None else f"{killed.by} (seed {killed.seeds})"


def tried(mutants: Sequence[Mutant], seeds: int) -> Iterator[tuple[Mutant, Killed | None, float]]:
    """Try mutants, as many at a time as there are processors. Yields each with its failure and its time (s)."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda mutant: _timed(mutant, seeds), mutants)


def _timed(mutant: Mutant, seeds: int) -> tuple[Mutant, Killed | None, float]:
    began = time.monotonic()
    return mutant, _try(mutant, seeds), time.monotonic() - began


def _try(mutant: Mutant, seeds: int) -> Killed | None:
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        _copy(tree)
        path = tree / mutant.path
        source = path.read_text()
        assert source.count(mutant.right) == 1, f"{mutant.guard}: {mutant.right!r} is not once in {mutant.path}"
        path.write_text(source.replace(mutant.right, mutant.wrong))
        return _tested(mutant, tree) if mutant.tests else _simulated(tree, seeds)


def _copy(tree: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.gz")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tree / name)


def _simulated(tree: Path, seeds: int) -> Killed | None:
    code, output = _run(tree, "-m", "tests.simulation.world", "--seeds", f"0-{seeds - 1}", "--first")
    if code == 0:
        return None
    match = re.search(r"^seed (\d+) .*\n([^:\n]{1,50})", output, re.MULTILINE)
    assert match, f"the simulation did not say what failed: {output[-2000:]}"
    return Killed(match[2].strip(), int(match[1]))


def _tested(mutant: Mutant, tree: Path) -> Killed | None:
    code, output = _run(tree, "-m", "pytest", "-q", "-x", mutant.tests)
    if code == 0:
        return None
    match = re.search(r"^FAILED (\S+)", output, re.MULTILINE)
    assert match, f"the tests did not say what failed: {output[-2000:]}"
    return Killed(match[1], None)


def _run(tree: Path, *arguments: str) -> tuple[int, str]:
    """Run Python on the copied tree, whatever packages are installed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tree), str(tree / "scripts")))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
