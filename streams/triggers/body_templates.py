"""Bodies of requests to the API of another product, as its documentation has them: JSON or a form, of templates.

    body:
      json:
        text: "{{ message }}"                 a text
        attributes:
          - external_id: "{{ customer }}"
            items: "{{ data.cart }}"          a text that is one expression alone gives its value: a list, a number

The one rule: a value of a customer is a value of the JSON or the form, and never a part of its syntax.

See also: `streams.triggers.templates`, which has the names that templates may use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import msgspec
from jinja2 import Undefined
from jinja2.exceptions import SecurityError

from streams.triggers.sandbox import BoundedEnvironment, rendered

# The longest list that an expression gives.
MEMBERS_MAX = 10_000

TemplateNames = Mapping[str, Any]
_Write = Callable[[TemplateNames], Any]

_environment = BoundedEnvironment(autoescape=False)
# One expression and nothing beside it; a second one would end the first.
_ONE_EXPRESSION = re.compile(r"\s*\{\{((?:(?!\}\}|\{\{).)*)\}\}\s*", re.DOTALL)


class BodyTemplate:
    """A body with templates in its texts."""

    def __init__(self, json: Any = None, form: Mapping[str, str] | None = None) -> None:
        """Compile the texts. Raises what Jinja raises."""
        self._is_form = form is not None
        self._write = _compiled(json if form is None else dict(form))

    def written(self, context: TemplateNames) -> bytes:
        """Render the body. Raises what a template may raise, and `TypeError` for a value that JSON has no form of."""
        value = self._write(context)
        if self._is_form:
            return urlencode({name: "" if text is None else str(text) for name, text in value.items()}).encode()
        return msgspec.json.encode(value, enc_hook=_plain)


def _compiled(node: Any) -> _Write:
    if isinstance(node, dict):
        members = {name: _compiled(member) for name, member in node.items()}
        return lambda context: {name: write(context) for name, write in members.items()}
    if isinstance(node, list):
        items = [_compiled(item) for item in node]
        return lambda context: [write(context) for write in items]
    if not isinstance(node, str) or not ("{{" in node or "{%" in node):
        return lambda _: node
    alone = _ONE_EXPRESSION.fullmatch(node)
    if alone is not None:
        expression = _environment.compile_expression(alone[1], undefined_to_none=False)
        return lambda context: _defined(expression(context))
    template = _environment.from_string(node)
    return lambda context: rendered(template, context)


def _defined(value: Any) -> Any:
    """The value of an expression. Raises what Jinja raises for a name that does not exist."""
    if isinstance(value, Undefined):
        return str(value)  # which raises, and names it
    return _bounded(value) if isinstance(value, Iterator) else value


def _bounded(values: Iterator[Any]) -> list[Any]:
    members = list(islice(values, MEMBERS_MAX + 1))
    if len(members) > MEMBERS_MAX:
        raise SecurityError(f"a list is longer than {MEMBERS_MAX:,}")
    return members


def _plain(value: Any) -> Any:
    """What stands in JSON for a value of a template that JSON does not know: a list for what a filter gives."""
    if isinstance(value, Iterator):
        return _bounded(value)
    raise TypeError(f"{type(value).__name__} is no value of JSON")
