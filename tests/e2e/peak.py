"""peak.py PROGRAM ARGUMENTS …: runs it; prints its exit status and its peak resident bytes as the last line of stdout.

A process of its own, because a child's peak begins with that of the process it was forked from, and the tests' own is large."""
import os
import subprocess
import sys

process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(process.returncode, usage.ru_maxrss * 1024)
