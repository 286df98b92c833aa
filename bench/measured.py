#!/usr/bin/env python3
"""Runs a command; prints its wall seconds, processor seconds and peak resident memory (getrusage, KiB): measured.py COMMAND …

Also a module: run(command) gives the same as numbers. The peak counts mapped input pages too, and is never below the few MiB that
this interpreter had when it started the command.
"""
import os
import sys
import time


def run(command, quiet=True):
    start = time.perf_counter()
    null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=null if quiet else [])
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise SystemExit(f"{' '.join(command)}: exit status {code}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


if __name__ == "__main__":
    print("%.2f %.2f %d" % run(sys.argv[1:], quiet=False), file=sys.stderr)
