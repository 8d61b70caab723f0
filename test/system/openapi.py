"""web/openapi.json as a test sees it: which operations there are, and whether an answer is as its
schema says. Knows as much of JSON Schema as that document uses, and fails at what it does not know."""

from __future__ import annotations

import json
import re

from cluster import ROOT

DOCUMENT = json.loads((ROOT / "web" / "openapi.json").read_text(encoding="utf-8"))
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
NOTES = {"description", "default", "examples", "format"}


def resolve(value: dict) -> dict:
    while "$ref" in value:
        found = DOCUMENT
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def has_type(value, name: str) -> bool:
    if name in ("integer", "number"):
        right = (int,) if name == "integer" else (int, float)
        return isinstance(value, right) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def problems(value, schema: dict, where: str = "") -> list:
    """What of the value is not as the schema says, in words."""
    schema = resolve(schema)
    found = []
    for word, rule in schema.items():
        if word in NOTES:
            continue
        if word == "type":
            kinds = rule if isinstance(rule, list) else [rule]
            if not any(has_type(value, kind) for kind in kinds):
                return [f"{where}: {value!r} is no {' or '.join(kinds)}"]
        elif word == "const":
            found += [] if value == rule else [f"{where}: {value!r} is not {rule!r}"]
        elif word == "enum":
            found += [] if value in rule else [f"{where}: {value!r} is none of {rule}"]
        elif word == "oneOf":
            fits = [entry for entry in rule if not problems(value, entry, where)]
            if len(fits) != 1:
                found += [f"{where}: {len(fits)} of oneOf fit {json.dumps(value)[:200]}"]
                found += [text for entry in rule for text in problems(value, entry, where)]
        elif word == "pattern":
            if isinstance(value, str) and not re.search(rule, value):
                found.append(f"{where}: {value!r} does not match {rule}")
        elif word in ("minimum", "maximum"):
            if isinstance(value, (int, float)):
                low = word == "minimum"
                if (value < rule) if low else (value > rule):
                    found.append(f"{where}: {value} is beyond the {word} {rule}")
        elif word in ("minLength", "maxLength", "minItems", "maxItems", "maxProperties"):
            if isinstance(value, (str, list, dict)):
                if (len(value) < rule) if word.startswith("min") else (len(value) > rule):
                    found.append(f"{where}: {len(value)} against {word} {rule}")
        elif word == "required":
            if isinstance(value, dict):
                found += [f"{where}: {name} is missing" for name in rule if name not in value]
        elif word == "properties":
            for name, entry in rule.items():
                if isinstance(value, dict) and name in value:
                    found += problems(value[name], entry, f"{where}.{name}")
        elif word == "additionalProperties":
            known = schema.get("properties", {})
            for name in set(value if isinstance(value, dict) else ()) - set(known):
                if rule is False:
                    found.append(f"{where}: {name} is not described")
                elif isinstance(rule, dict):
                    found += problems(value[name], rule, f"{where}.{name}")
        elif word == "items":
            for number, entry in enumerate(value if isinstance(value, list) else ()):
                found += problems(entry, rule, f"{where}[{number}]")
        else:
            raise AssertionError(f"openapi.py does not know {word}")
    return found


def operations() -> list:
    """(METHOD, path, operation), all of them."""
    return [(method.upper(), path, operation)
            for path, methods in DOCUMENT["paths"].items()
            for method, operation in methods.items()]


def operation_of(method: str, path: str) -> dict | None:
    """The operation that a request is about; None if there is none."""
    method = "GET" if method == "HEAD" else method
    best = None
    for known, pattern, operation in operations():
        parts = re.split(r"(\{[a-z]+\})", pattern)
        text = "".join(".+" if part == "{path}" else "[^/]+" if part.startswith("{")
                       else re.escape(part) for part in parts)
        if known == method and re.fullmatch(text, path):
            if best is None or pattern.count("{") < best[0]:
                best = (pattern.count("{"), operation)
    return best[1] if best else None


def check_answer(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    """Fails if the document does not say that this request can have this answer."""
    operation = operation_of(method, path)
    what = f"{method} {path} -> {status}"
    problem = content_type == "application/problem+json"
    if status >= 400:
        assert problem, f"{what} is {content_type}: {body[:200]!r}"
        value = json.loads(body)
        wrong = problems(value, {"$ref": "#/components/schemas/Problem"}, what)
        assert not wrong, wrong
        assert value["status"] == status, value
        usual = status in (400, 405, 413, 421, 431, 500) or operation is None
        assert usual or str(status) in operation["responses"], f"{what} is not described"
        return
    assert operation is not None, f"{what}: there is no such operation"
    assert str(status) in operation["responses"], f"{what} is not described"
    content = resolve(operation["responses"][str(status)]).get("content", {})
    kind = content_type.split(";")[0]
    assert kind in content or not body, f"{what} is {content_type}"
    if kind == "application/json" and method != "HEAD":
        wrong = problems(json.loads(body), content[kind]["schema"], what)
        assert not wrong, wrong


def check_event(path: str, kind: str, data) -> None:
    """Fails if the document does not say that this stream can have this event."""
    operation = operation_of("GET", path)
    events = operation["responses"]["200"]["content"]["text/event-stream"]["x-events"]
    assert kind in events, f"{path}: an event {kind}"
    wrong = problems(data, events[kind], f"{path} {kind}")
    assert not wrong, wrong
