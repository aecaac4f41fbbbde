"""Bad image files by the thousand; and that the program which tries them sees what goes wrong.

`CASJAX_FUZZ_VARIANTS` and `CASJAX_FUZZ_MINUTES` set the budget of the long test.
"""

import os
import subprocess
import sys
from pathlib import Path

import fuzz
import pytest
from mutations import make_variant

PROGRAM = Path(fuzz.__file__)
# A process that dies at variant 3 and hangs at variant 5.
CHILD = """
import os, sys, time
for number in range(int(sys.argv[1]), int(sys.argv[2])):
    if number == 3:
        os.abort()
    if number == 5:
        time.sleep(60)
    print('{"kind": "restored", "number": %d}' % number, flush=True)
"""


@pytest.mark.slow
def test_every_variant_ends_well(tmp_path):
    budget = {
        "variants": os.environ.get("CASJAX_FUZZ_VARIANTS", "500"),
        "minutes": os.environ.get("CASJAX_FUZZ_MINUTES", "20"),
    }
    options = [f"--{name}={value}" for name, value in budget.items()]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *options, f"--failures={tmp_path}"],
        env=os.environ | {"PYTHONPATH": str(PROGRAM.parent.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " restored" in done.stdout


def test_variants_are_the_same_each_time():
    for number in range(40):
        assert make_variant(1, number, None) == make_variant(1, number, None)
    assert make_variant(1, 0, None) != make_variant(2, 0, None)


def test_processes_that_die_and_hang_are_seen_and_followed_by_others():
    reports = fuzz.supervise(
        lambda first, count: [sys.executable, "-c", CHILD, str(first), str(first + count)],
        range(8),
        seconds=60,
        patience=10,
    )
    kinds = {report["number"]: report for report in reports}
    assert [kinds[i]["kind"] for i in range(8)] == [
        "defect" if i in (3, 5) else "restored" for i in range(8)
    ]
    assert "status -6" in kinds[3]["says"]
    assert "more than 10 seconds" in kinds[5]["says"]


REFUSAL = "error: a.jpg: damaged, it is cut short\n0 restored, 1 failed: none\n"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "refused"),
        ({"errors": "Traceback ...\nerror: a.jpg: damaged, it is\n"}, "defect"),
        ({"errors": REFUSAL.replace("damaged, it is cut short", "KeyError")}, "defect"),
        ({"errors": REFUSAL.replace("it is cut", "'NoneType' has")}, "defect"),
        ({"left": {".0123.part"}}, "defect"),
        ({"output": "words"}, "defect"),
        ({"warnings": ["a warning"]}, "defect"),
        ({"status": 2}, "defect"),
        ({"status": 0, "errors": "1 restored\n", "left": set()}, "defect"),
    ],
)
def test_outcomes_are_judged(changes, kind):
    variant = fuzz.Variant(b"", (), (), ".png")
    outcome = {
        "name": "a.jpg", "result": Path("result.png"), "status": 1, "output": "",
        "errors": REFUSAL, "warnings": [], "left": set(),
    }  # fmt: skip
    assert fuzz.judge(variant, fuzz.Outcome(**(outcome | changes)))["kind"] == kind
