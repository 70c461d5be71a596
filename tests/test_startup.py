"""What a process that makes reports sets up, each in a process of its own."""

import platform
import subprocess
import sys

import pytest

from helpers import startup

# Pages that the system hands out while a block of 40 MB is taken and given back ten times.
FAULTS = """
import resource
from helpers import startup
{keep}
def block():
    return len(b"x" * (40 << 20))
block()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    block()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return done.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_is_kept_for_the_next_picture():
    usual, kept = (int(said(FAULTS.format(keep=keep))) for keep in ("", "startup.keep_memory()"))
    assert usual > 1000
    assert kept < usual / 10


def test_another_library_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(startup.sys, "platform", "linux")
    monkeypatch.setattr(startup.ctypes, "CDLL", lambda _: object())
    startup.keep_memory()


def test_the_grammar_is_skipped_but_not_taken_away():
    code = "import sys; sys.modules['rfc3987_syntax'] = sys; from helpers import startup\n"
    code += "startup.skip_grammar(); print(sys.modules['rfc3987_syntax'] is sys)"
    assert said(code) == "True"


# Makes a ring that only the search for garbage finds.
RING = """
import gc
from helpers import startup

class Ring(list):
    pass
ring = Ring()
ring.append(ring)
del ring
{first}
"""


def test_what_is_there_is_not_looked_at_again():
    told = "print(gc.collect())"
    usual, frozen = (
        int(said(RING.format(first=f"{f}{told}"))) for f in ("", "startup.look_away();")
    )
    assert frozen < usual


AT_THE_END = """
from helpers import startup
class Ring(list):
    def __del__(self):
        print("looked at")
ring = Ring()
ring.append(ring)
{first}
"""


def test_at_the_end_nobody_looks_for_garbage():
    ring = AT_THE_END + "ring = None\n"
    assert said(ring.format(first="")) == "looked at"
    assert said(ring.format(first="startup.leave_quickly()")) == ""
    assert said(ring.format(first="import helpers.cli")) == ""
