"""Outcomes of librdkafka's own tests, from their reports in a folder: those that ask a broker, and one that librdkafka does not imitate."""

import json
import pathlib
import re
import sys

STATES = {"PASSED": "pass", "SKIPPED": "skip"}
ASKS_NO_BROKER = "Filtered due to negative test flags"

for said in sorted(pathlib.Path(sys.argv[1]).glob("*.out")):
    report = said.with_suffix(".json")
    if not report.exists():
        print(said.stem, "fail")
        continue
    skipped = [line for line in said.read_text(errors="replace").splitlines() if ASKS_NO_BROKER in line]
    for name, test in json.loads(report.read_text())["tests"].items():
        of_others = not name.startswith(said.stem) or "mock" in name
        if not of_others and not test["known_issue"] and not any(re.search(rf"\[{name}\b", line) for line in skipped):
            print(name, STATES.get(test["state"], "fail"))
