#!/usr/bin/env python3
"""The JSON Schemas of the language against what the programs themselves take and refuse.

Usage: schema.py ROOT. Every example fits; so does what the documentation shows; every file of tests/unit/bad-policies
is refused, but for those whose mistake only the loader can see (their last line says '#!loader')."""

import json
import pathlib
import re
import sys

import jsonschema
import yaml


class Words(yaml.SafeLoader):
    """YAML 1.2 as editors read it: 'yes' and 'off' are words, 1:30 is no number, a key stands once."""


Words.yaml_implicit_resolvers = {
    first: [r for r in rules if r[0] not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Words.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), "tf")
Words.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^-?[0-9]+$"), "-0123456789")


def validator(path):
    schema = json.loads(path.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def mistakes(check, text):
    try:
        value = yaml.load(text, Words)
    except (yaml.YAMLError, TypeError, ValueError) as e:
        return [str(e)]
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in check.iter_errors(value)]


def shown(page, language):
    """What a page shows in fences of this kind, one string each."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S) if page.exists() else []


def main():
    root = pathlib.Path(sys.argv[1])
    policy, host = validator(root / "docs/policy.schema.json"), validator(root / "docs/host.schema.json")
    failed = 0

    def expect(name, fits, found):
        nonlocal failed
        if bool(found) == fits:
            failed += 1
            print(f"{name}: {'should fit' if fits else 'should be refused'}: {found}")

    examples = sorted((root / "examples").glob("**/policy.yaml")) + sorted((root / "examples").glob("*.yaml"))
    for path in examples:
        expect(path.name, True, mistakes(policy, path.read_text()))
    bad = sorted((root / "tests/unit/bad-policies").glob("*.yaml"))
    refused = 0
    for path in bad:
        octets = path.read_bytes()
        if octets.endswith(b"#!loader\n"):
            continue
        refused += 1
        try:
            expect(path.name, False, mistakes(policy, octets.decode()))
        except UnicodeDecodeError:
            pass
    pages = shown(root / "docs/policy-language.md", "yaml")
    for number, text in enumerate(pages, 1):
        expect(f"policy-language.md, policy {number}", True, mistakes(policy, text if "cordon:" in text else "cordon: 1\n" + text))
    for number, text in enumerate(shown(root / "docs/host-configuration.md", "yaml"), 1):
        expect(f"host-configuration.md, page {number}", True, mistakes(host, text))
    for text in ("cordon: 1", "cordon: 1\nname: x\ntrust: ca.pem\npolicy: p.yaml\ninterfaces: { eth0: domain }\ndata-plane: kernel", "cordon: 1\nworkers: auto",
                 "cordon: 1\nworkers: 16", "cordon: 1\nzones: { home: private, work: auto }"):
        expect("host page", True, mistakes(host, text))
    for text in ("name: x", "cordon: 1\ncertificate: x", "cordon: 1\ncertificates: [ { key: x } ]", "cordon: 1\ninterfaces: { eth0: home }",
                 "cordon: 1\npolicy: []", "cordon: 1\nzones: {}", "cordon: 1\nzones: auto", "cordon: 1\nzones: { home: home }", "cordon: 1\nzones: { 'my home': public }", "cordon: 1\ndata-plane: kernal"):
        expect("bad host page", False, mistakes(host, text))
    print(f"{len(examples)} examples and {len(pages)} shown policies fit, {refused} bad ones are refused, {failed} surprises")
    return 1 if failed or not examples or not refused else 0


sys.exit(main())
