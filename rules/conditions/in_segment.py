"""The condition on another segment (`in_segment`)."""

from __future__ import annotations

import msgspec

from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision
from rules.forms.description import Canonical
from rules.forms.problems import WrongCondition
from rules.forms.segment_key import KEY_PATTERN
from rules.languages.language import Language
from rules.languages.parts import beside, observed_of
from rules.reasons import Observed, Reason
from rules.times import format_instant

_EXAMPLE = "another segment's key, such as repeat_buyer"


class InSegment(msgspec.Struct, frozen=True):
    """The customer is in another segment, decided before this one in the same decision."""

    key: str
    index: int

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:  # noqa: ARG002
        return self.index in customer.since, NEVER

    def reason(self, customer: CustomerView, now: int) -> Reason:
        since = customer.since.get(self.index)
        observed = Observed(since=None if since is None else format_instant(since))
        holds, _ = self.decide(customer, now)
        return Reason(holds, condition="in_segment", observed=observed, test={}, segment=self.key)


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    if not isinstance(body, str):
        raise WrongCondition(path, f"expected {_EXAMPLE}")
    if body not in scope.indices:
        near = ", ".join(sorted(scope.indices)[:10])
        raise WrongCondition(path, f"there is no segment {body}", f"segments here are {near}")
    scope.named.add(body)
    return InSegment(body, scope.indices[body]), {"in_segment": body}


def _describe(key: Canonical) -> str:
    return f"in segment {key}"


def _phrase(lang: Language, reason: Reason) -> str:
    segment, since = lang.name(reason.segment), observed_of(reason).since
    if not reason.holds:
        return beside(lang, lang.say("not_in_segment", segment=segment), lang.say("in_it"))
    return lang.say("in_segment", segment=segment, since=lang.name(since))


IN_SEGMENT = ConditionKind(
    "in_segment",
    _EXAMPLE,
    {"type": "string", "pattern": KEY_PATTERN},
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "in_segment": "in segment {segment} since {since}",
            "not_in_segment": "not in segment {segment}",
            "in_it": "in it",
        },
        "fa": {
            "in_segment": "از {since} عضو بخش {segment} است",
            "not_in_segment": "عضو بخش {segment} نیست",
            "in_it": "عضو آن باشد",
        },
    },
)
