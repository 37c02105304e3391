"""What another project's own tests say of the broker, held against the list of those that are excused.

usage: score.py NAME EXCUSED < OUTCOMES; a line of outcomes is a test and pass, fail or skip; a line of the list is a test, a colon and
the reason. The list only shrinks: a test that passes although it is excused fails here, as does one that is not there at all.
"""

import sys

NAME, EXCUSED = sys.argv[1:]

with open(EXCUSED, encoding="utf-8") as lines:
    excused = dict(line.strip().split(": ", 1) for line in lines if line.strip() and not line.startswith("#"))
outcomes = dict(line.split() for line in sys.stdin if line.strip())
passed = {test for test, outcome in outcomes.items() if outcome == "pass"}
failed = sorted(test for test in outcomes if test not in passed and test not in excused)
stale = sorted(test for test in excused if test in passed or test not in outcomes)

for test in failed:
    print(f"  FAILED  {NAME}: {test}: {outcomes[test]}")
for test in stale:
    print(f"  FAILED  {NAME}: {test} is excused, and {'passes' if test in passed else 'does not exist'}: take it off {EXCUSED}")
print(f"  {'FAILED' if failed or stale or not passed else 'ok    '}  {NAME}: {len(passed)} of its {len(outcomes)} own tests pass", flush=True)
sys.exit(bool(failed or stale or not passed))
