#!/usr/bin/env python3
"""Renders chat templates with Python Jinja2 as transformers sets it up.

Needs: pip install jinja2==3.1.6
Usage: reference.py > golden.json        the templates and expressions here
       reference.py DIRECTORY > x.json   other templates, for the parity test

The result is a list of {"name", "output"} or {"name", "error"}: each template
with each conversation, then each expression. strftime_now is frozen to
2026-07-26 09:05:03 so that the results do not change.
"""
import glob
import json
import os
import sys
from datetime import datetime

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime(2026, 7, 26, 9, 5, 3)


class Generation(jinja2.ext.Extension):
    """{% generation %} marks the assistant's tokens; it prints its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda fmt: NOW.strftime(fmt)
    return env


def render(env, compiled, name, source, variables):
    out = {"name": name}
    try:
        if source not in compiled:
            compiled[source] = env.from_string(source)
        out["output"] = compiled[source].render(**variables)
    except Exception as e:  # whatever a template may raise
        out["error"] = f"{type(e).__name__}: {e}"
    return out


def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        return f.read()


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    conversations = json.loads(read(os.path.join(here, "conversations.json")))
    directory = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "templates")
    env, compiled, results = environment(), {}, []
    for path in sorted(glob.glob(os.path.join(directory, "*.jinja"))):
        source = read(path)
        for c in conversations:
            name = os.path.basename(path) + "/" + c["name"]
            results.append(render(env, compiled, name, source, c["vars"]))
    if len(sys.argv) == 1:
        variables = json.loads(read(os.path.join(here, "variables.json")))
        for i, source in enumerate(read(os.path.join(here, "expressions.txt")).split("\n----\n")):
            results.append(render(env, compiled, f"expressions/{i}", source, variables))
    json.dump(results, sys.stdout, ensure_ascii=True, indent=1)
    print()


main()
