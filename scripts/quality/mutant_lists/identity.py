"""Guards of the resolution of identities; see `quality.mutants`."""

from __future__ import annotations

from quality.mutant import Mutant

MUTANTS = (
    Mutant(
        "an id without events becomes a redirect without a decision",
        "rules/identity/resolution.py",
        "return not customer.instant and customer.linkage is None and customer.published_ahead is None",
        "return True",
        "tests/unit/rules/test_identity.py",
    ),
    Mutant(
        "an anonymousId makes no identified customer a former id",
        "rules/identity/resolution.py",
        "if not event.vouched and customer.identified:",
        "if False:",
        "tests/unit/rules/test_identity_takeover.py",
    ),
    Mutant(
        "a link ends where its id turns out to be a user's",
        "rules/identity/resolution.py",
        "return [end_link(event, customer)]",
        "return []",
        "tests/unit/rules/test_identity_takeover.py",
    ),
    Mutant(
        "a profile that came after many newer ones is refused",
        "rules/identity/dispatch.py",
        "if event.linked <= linkage.taken_since:",
        "if False:",
        "tests/unit/rules/test_profile_merge.py::test_of_very_many_moves_the_oldest_count_as_taken_in",
    ),
    Mutant(
        "the time up to which moves are forgotten is stored",
        "rules/identity/profile_merge.py",
        "linkage.taken_since = max(linkage.taken_since, newest[-TAKEN_MAX - 1][1])",
        "pass",
        "tests/unit/rules/test_profile_merge.py::test_of_very_many_moves_the_oldest_count_as_taken_in",
    ),
    Mutant(
        "the number of incomplete profiles is bounded",
        "rules/identity/profile_merge.py",
        "dict(newest[-ARRIVING_MAX:])",
        "dict(newest)",
        "tests/unit/rules/test_profile_merge.py::test_half_profiles_do_not_pile_up",
    ),
    Mutant(
        "a redirect that is vouched for is not overridden",
        "rules/identity/resolution.py",
        "if vouched and not event.vouched:",
        "if False:",
        "tests/unit/rules/test_identity_takeover.py",
    ),
    Mutant(
        "new ids of a person are bounded",
        "rules/identity/resolution.py",
        "if len(recent) + len(linkage.linked_ms) >= NEW_LINKS_MAX:",
        "if False:",
        "tests/unit/rules/test_identity_takeover.py",
    ),
    Mutant(
        "an id of a person counts once",
        "rules/identity/resolution.py",
        "    if ident in recent:\n        return True\n",
        "",
        "tests/unit/rules/test_identity_takeover.py::test_an_id_that_is_linked_again_is_not_a_new_one",
    ),
    Mutant(
        "two ids that were unlinked stay unlinked",
        "rules/identity/resolution.py",
        "if parted is not None and (not event.vouched or event.time <= parted):",
        "if False:",
        "tests/unit/rules/test_identity_takeover.py",
    ),
    Mutant(
        "an erasure along checks that the link was allowed",
        "rules/identity/erasure.py",
        "if refused := refusal_of(link, customer, linkage):",
        "if (refused := refusal_of(link, customer, linkage)) and False:",
        "tests/unit/rules/test_identity_takeover.py",
    ),
    Mutant(
        "a profile that comes twice counts once",
        "rules/identity/dispatch.py",
        "if event.move in linkage.taken:",
        "if False:",
        "tests/unit/rules/test_profile_merge.py",
    ),
    Mutant(
        "the list of merged profiles moves with a profile",
        "rules/identity/dispatch.py",
        "{**whole.taken, event.move: event.linked}",
        "{event.move: event.linked}",
        "tests/unit/rules/test_profile_merge.py",
    ),
    Mutant(
        "an incomplete profile decides nothing",
        "rules/identity/profile_merge.py",
        "if len(arriving.chunks) < arriving.count:",
        "if len(arriving.chunks) < 1:",
        "tests/unit/rules/test_profile_merge.py",
    ),
    Mutant(
        "a late link leaves an id that was erased since",
        "rules/identity/erasure.py",
        "return event.linked > erased and",
        "return",
        "tests/unit/rules/test_identity.py",
    ),
)
