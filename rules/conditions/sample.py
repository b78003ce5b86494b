"""The condition on a stable share of the customers (`sample`).

See also: `streams.triggers.policy.is_in_hold_out`, which draws a hold-out in the same way.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, ClassVar

import msgspec
from pydantic import WithJsonSchema

from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision
from rules.forms import description, value_test_parsing
from rules.forms.description import Canonical
from rules.forms.form import Form
from rules.forms.json_schema import form_schema
from rules.forms.problems import WrongCondition
from rules.languages.language import Language
from rules.languages.parts import beside
from rules.number_text import MICRO
from rules.reasons import Observed, Reason
from rules.value_tests import Shown
from rules.values import shown_number


class Sample(msgspec.Struct, frozen=True):
    """The customers whose hash is below a share of all hashes; ``percent`` in 10⁻⁶."""

    percent: int
    salt: str

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:  # noqa: ARG002
        digest = sha256(f"{self.salt}\0{customer.id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") * 100 * MICRO < self.percent << 64, NEVER

    def reason(self, customer: CustomerView, now: int) -> Reason:
        holds, _ = self.decide(customer, now)
        test: dict[str, Shown] = {"percent": shown_number(self.percent), "salt": self.salt}
        return Reason(holds, condition="sample", observed=Observed(), test=test)


class SampleForm(Form):
    example: ClassVar = "{percent: 10, salt: hold-out}"

    percent: Annotated[object, WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 100})]
    salt: str = ""


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, SampleForm, body)
    percent = scope.problems.read(f"{path}.percent", value_test_parsing.micro, form.percent)
    if not 0 < percent <= 100 * MICRO:
        raise WrongCondition(f"{path}.percent", f"{form.percent!r} is not above 0 and at most 100")
    scope.facts.require_nothing()
    return Sample(percent, form.salt), {"sample": {"percent": percent / MICRO, "salt": form.salt}}


def _describe(form: Canonical) -> str:
    percent = description.value(form["percent"])
    return f"among a stable {percent} % of the customers (salt {form['salt'] or 'empty'})"


def _phrase(lang: Language, reason: Reason) -> str:
    test = reason.test or {}
    sample = lang.say("sample", percent=lang.number(test.get("percent", 0)))
    if test.get("salt"):
        sample = lang.say("salted", sample=sample, salt=lang.quoted(test["salt"]))
    if not reason.holds:
        return beside(lang, lang.say("outside", sample=sample), lang.say("inside_asked"))
    return lang.say("inside", sample=sample)


SAMPLE = ConditionKind(
    "sample",
    SampleForm.example,
    form_schema(SampleForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "sample": "the sample of {percent}%",
            "salted": "{sample} by {salt}",
            "inside": "inside {sample}",
            "outside": "outside {sample}",
            "inside_asked": "inside",
        },
        "fa": {
            "sample": "نمونهٔ {percent} درصدی",
            "salted": "{sample} با کلید {salt}",
            "inside": "در {sample} است",
            "outside": "بیرون از {sample} است",
            "inside_asked": "در آن باشد",
        },
    },
)
