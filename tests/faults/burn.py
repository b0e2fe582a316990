"""A machine that is busy and a disk that is slow, on purpose: windows between two operations become wide enough to meet."""

import ctypes.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

# Ends by itself when the tests were killed.
SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(1 << 20): pass"
# What is delayed is the removal of a segment's file, before it happens: in the product nothing of this is there.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void wait_for(const char *path) {
    const char *name = strrchr(path, '/'), *ms = getenv("SLOW_REMOVAL_MS");
    if (ms && !strncmp(name ? name + 1 : path, "seg-", 4)) usleep(1000 * atoi(ms));
}
int unlink(const char *path) {
    wait_for(path);
    return ((int (*)(const char *))dlsym(RTLD_NEXT, "unlink"))(path);
}
int unlinkat(int folder, const char *path, int flags) {
    wait_for(path);
    return ((int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat"))(folder, path, flags);
}
"""


class Burning:
    """So many processes that do nothing but use a core each, until the end of a `with`."""

    def __init__(self, processes):
        self.count, self.processes = processes, []

    def __enter__(self):
        for _ in range(self.count):
            self.processes.append(subprocess.Popen([sys.executable, "-c", SPIN]))
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def build_shim(folder):
    """The library that delays removals; None where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not ctypes.util.find_library("c"):
        return None
    source, library = Path(folder, "slow_removal.c"), Path(folder, "slow_removal.so")
    source.write_text(SHIM)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the library that delays removals can't be built: {done.stderr}")
    return str(library)


def environment(shim, delay_ms):
    """What a process is to be started with for its removals to take so long."""
    return {"LD_PRELOAD": shim, "SLOW_REMOVAL_MS": str(delay_ms)} if shim and delay_ms else {}
