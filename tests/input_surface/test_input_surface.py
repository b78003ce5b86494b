"""The product gives every field of an event the meaning that the written rules say."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.input_surface.cases import all_cases
from tests.input_surface.run import differences
from tests.input_surface.truth import FILES, own_keys

CASES = tuple(all_cases())


@pytest.mark.parametrize("file", FILES)
def test_memberships_and_refusals_are_the_right_ones(file: str, tmp_path: Path) -> None:
    """Each case of the file gives its right value."""
    hit = differences([case for case in CASES if case.file == file], file, tmp_path)
    if hit:
        rules = Counter(rule for case in hit for rule in case.case.rules)
        shown = "\n".join(map(str, hit[:20]))
        pytest.fail(f"{len(hit)} differences; by rule {dict(rules.most_common())}\n{shown}", pytrace=False)


def test_every_written_rule_has_cases() -> None:
    """Each rule has cases that follow from it."""
    written = re.findall(r"^- (R\d+)\.", Path(__file__).with_name("rules.md").read_text(encoding="utf-8"), re.MULTILINE)
    used = Counter(rule for case in CASES for rule in set(case.rules))
    assert len(written) == len(set(written)) <= 40
    assert set(used) == set(written)
    assert {rule: used[rule] for rule in written if used[rule] < 5} == {}


def test_each_case_has_a_name_of_its_own() -> None:
    """A difference names one case."""
    assert [name for name, times in Counter(case.name for case in CASES).items() if times > 1] == []


def test_right_values_name_segments_of_their_file() -> None:
    """A segment that no file has could never be missed."""
    for case in CASES:
        for keys in case.right.values():
            assert keys <= own_keys(case.file), case.name
