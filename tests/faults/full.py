"""Disks that are full, gone, or not to be written to: requests are answered all the same."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import wire
from kills import Violation, check_all
from oracle import KEYS, Oracle
from origin import Origin
from process import Larder


def answered(binary, folder, what, spoil=None):
    """Every key is asked for three times, with the disk spoilt after the first turn; what was said."""
    oracle = Oracle()
    origin = Origin(oracle)
    larder = Larder(binary, folder, "--disk", "64MiB", "--memory", "4MiB")
    try:
        for turn in range(3):
            check_all(oracle, origin, larder.port)
            if turn == 0 and spoil:
                spoil()
        client = wire.Client(larder.port)
        # What was removed stays removed, whether it can be written down or not.
        for key in range(0, KEYS, 9):
            answer = client.ask("POST", origin.url(key), ["Content-Length: 0"])
            oracle.changed(key, int(answer.field("x-generation")))
        check_all(oracle, origin, larder.port)
        client.close()
        if larder.stop() != 0:
            raise Violation(f"{what}: it did not end in order")
    finally:
        if larder.process.poll() is None:
            larder.kill()
    print(f"full: {what}: {oracle.checked} responses right, 0 wrong")
    return larder.said


def is_read_only(said, what):
    lines = [line for line in said if "is read-only until" in line]
    if len(lines) != 1:
        raise Violation(f"{what}: one line says that it is read-only, not {len(lines)}: {''.join(lines)}")


def on_tmpfs(binary, size):
    what = f"a tmpfs of {size}"
    folder = tempfile.mkdtemp(prefix="larder-full-")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        # A limit on the size of files is a full disk, too, for those who may not mount.
        print(f"full: {what} can't be mounted ({mounted.stderr.decode().strip()}); a limit on files stands in")
        limited = Path(folder) / "larder"
        limited.write_text(f'#!/bin/sh\nulimit -f 1024 && exec "{binary}" "$@"\n')
        limited.chmod(0o755)
        is_read_only(answered(str(limited), f"{folder}/cache", "files of 1 MiB at most"), what)
        shutil.rmtree(folder)
        return
    try:
        is_read_only(answered(binary, f"{folder}/cache", what), what)
    finally:
        subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)


def run(binary):
    for size in ["1m", "8m"]:
        on_tmpfs(binary, size)
    with tempfile.TemporaryDirectory(prefix="larder-full-") as folder:
        cache = Path(folder) / "cache"
        cache.mkdir()
        answered(binary, cache, "the folder deleted", lambda: shutil.rmtree(cache / "store"))
    with tempfile.TemporaryDirectory(prefix="larder-full-") as folder:
        cache = Path(folder) / "cache"
        cache.mkdir()
        # Root may write all the same; for others this is a read-only folder.
        answered(binary, cache, "the folder read-only", lambda: os.chmod(cache / "store", 0o500))
        os.chmod(cache / "store", 0o700)
