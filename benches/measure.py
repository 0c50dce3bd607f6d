#!/usr/bin/env python3
"""Runs a command and says what it cost: seconds of CPU, user and system, and the peak of its memory in KiB.

    measure.py OUTPUT COMMAND...

CPU is what the kernel counted for the process and its threads (wait4). Memory is VmHWM, looked at until the end: the
peak that wait4 gives would include this program, which the process was before it became the command.
"""

import os
import sys
import time


def main():
    output, command = sys.argv[1], sys.argv[2:]
    pid = os.fork()
    if pid == 0:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.execvp(command[0], command)
    peak = 0
    while True:
        try:
            with open(f"/proc/{pid}/comm") as name, open(f"/proc/{pid}/status") as status:
                if name.read().strip() not in ("taskset", "python3"):
                    for line in status:
                        if line.startswith("VmHWM:"):
                            peak = max(peak, int(line.split()[1]))
        except (OSError, ValueError):
            pass
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            break
        time.sleep(0.05)
    print(f"{usage.ru_utime + usage.ru_stime:.3f} {peak}")
    sys.exit(os.waitstatus_to_exitcode(status))


main()
