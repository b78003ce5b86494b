"""Guards of the project's tools and of what tests share; see `quality.mutants`."""

from __future__ import annotations

from quality.mutant import Mutant

MUTANTS = (
    Mutant(
        "a sentence of a stop is found in the source",
        "tests/support/stop_sentences.py",
        "isinstance(node, ast.Call) and node.args and _name(node.func) in _CALLED:",
        "isinstance(node, ast.Call) and node.args and _name(node.func) in _CALLED - {'Stop'}:",
        "tests/integration/stops/test_stop_sentences.py::test_a_new_sentence_is_found",
    ),
    Mutant(
        "a sentence that stands after an or is found in the source",
        "tests/support/stop_sentences.py",
        "case ast.BoolOp(values=values):",
        "case ast.BoolOp(values=[*values]) if False:",
        "tests/integration/stops/test_stop_sentences.py::test_a_new_sentence_is_found",
    ),
    Mutant(
        "a figure is of a commit",
        "scripts/benchmarks/recorder.py",
        "    if changed:",
        "    if False:",
        "tests/tools/test_benchmark_results.py::test_a_tree_with_changes_is_refused",
    ),
    Mutant(
        "a figure is of the commit at which its measurement began",
        "scripts/benchmarks/recorder.py",
        "if clean_commit(self._root) != self._commit:",
        "if False:",
        "tests/tools/test_benchmark_results.py::test_a_tree_that_changes_while_it_is_measured_is_refused",
    ),
    Mutant(
        "a small run replaces no figure of a full one",
        "scripts/benchmarks/recorder.py",
        "    if lacks:",
        "    if False:",
        "tests/tools/test_benchmark_results.py::test_a_small_or_partial_run_is_refused",
    ),
    Mutant(
        "a figure is of the usual settings",
        "scripts/benchmarks/recorder.py",
        "    if others:",
        "    if False:",
        "tests/tools/test_benchmark_results.py::test_other_settings_than_the_usual_are_refused",
    ),
    Mutant(
        "the docs say that a figure is of former code",
        "scripts/benchmarks/staleness.py",
        "return measurement.hot_path != hot_path.digest(measurement.benchmark, root)",
        "return False",
        "tests/tools/test_benchmark_results.py::test_docs_must_say_that_the_hot_path_has_changed",
    ),
    Mutant(
        "a package of the hot path that is gone is named",
        "scripts/benchmarks/hot_path.py",
        "if not place.exists():",
        "if False:",
        "tests/tools/test_hot_path.py::test_a_package_that_is_gone_is_named",
    ),
    Mutant(
        "a drawn block without an end is an error",
        "scripts/doc_tools/generated_blocks.py",
        '        raise BlockError(f"{opened}: the block does not end: end it with {END}")',
        "        pass",
        "tests/tools/test_speed_claims.py::test_a_block_that_does_not_end_is_a_finding",
    ),
    Mutant(
        "an amount without a word of a limit is taken for measured",
        "scripts/quality/speed_claims.py",
        'if not LIMIT.search(f"{line_before} {line[: match.start()]}"):',
        "if False:",
        "tests/tools/test_speed_claims.py::test_a_measured_figure_is_found",
    ),
)
