"""Disks that are full, gone, or not to be written to: requests are answered all the same."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import wire
from kills import Violation, check_all
from oracle import KEYS, Oracle
from origin import Origin
from process import Larder

# All of what is asked for has room on such a disk, and little of it in memory.
SIZES = ("--disk", "160MiB", "--memory", "4MiB")


def told_again(what, oracle, origin, larder):
    """Some keys are changed at the origin, which an answer to an unsafe request says."""
    client = wire.Client(larder.port)
    for key in range(0, KEYS, 9):
        answer = client.ask("POST", origin.url(key), ["Content-Length: 0"])
        oracle.changed(key, int(answer.field("x-generation")))
    client.close()
    # What was removed stays removed, whether it can be written down or not.
    check_all(oracle, origin, larder.port)


def answered(binary, folder, what, spoil=None, then=None, sizes=SIZES):
    """Every key is asked for three times, with the disk spoilt after the first turn; what was said."""
    oracle = Oracle()
    origin = Origin(oracle)
    larder = Larder(binary, folder, *sizes)
    try:
        for turn in range(3):
            check_all(oracle, origin, larder.port)
            if turn == 0 and spoil:
                spoil()
        told_again(what, oracle, origin, larder)
        if then:
            then(oracle, origin, larder)
        if larder.stop() != 0:
            raise Violation(f"{what}: it did not end in order")
    finally:
        if larder.process.poll() is None:
            larder.kill()
    print(f"full: {what}: {oracle.checked} responses right, 0 wrong")
    return oracle, origin, larder.said


def is_read_only(said, what):
    lines = [line for line in said if "is read-only until" in line]
    if len(lines) != 1:
        raise Violation(f"{what}: one line says that it is read-only, not {len(lines)}: {''.join(lines)}")


def shows(larder, what, read_only):
    shown = [value for name, value in larder.metrics().items() if name.startswith("larder_disk_read_only")]
    if shown != [float(read_only)]:
        raise Violation(f"{what}: larder_disk_read_only is {shown}, not {read_only}")


@contextmanager
def tmpfs(size):
    """A folder of its own device; None where that needs rights that are not there."""
    folder = tempfile.mkdtemp(prefix="larder-full-")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    try:
        if mounted.returncode == 0:
            yield folder
        else:
            print(f"full: a tmpfs of {size} can't be mounted ({mounted.stderr.decode().strip()})")
            yield None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)


def full_and_online_again(binary, size):
    what = f"a tmpfs of {size}"
    with tmpfs(size) as folder:
        if folder is None:
            a_limit_on_files(binary)
            return

        def online_again(oracle, origin, larder):
            is_read_only(larder.said, what)
            shows(larder, what, 1)
            subprocess.run(["mount", "-o", "remount,size=256m", folder], check=True)
            code, said = larder.command("online")
            if code != 0 or "online again" not in said:
                raise Violation(f"{what}, with room again: larder cache online says {said!r} and exits with {code}")
            shows(larder, what, 0)
            for _ in range(2):
                check_all(oracle, origin, larder.port)
            shows(larder, what, 0)

        oracle, origin, said = answered(binary, f"{folder}/cache", what, then=online_again)
        is_read_only(said, what)
        # What was removed while nothing could be written does not come back, and what was stored since is there.
        larder = Larder(binary, f"{folder}/cache", *SIZES)
        try:
            hits = oracle.hits
            check_all(oracle, origin, larder.port)
            if oracle.hits - hits < KEYS // 2:
                raise Violation(f"{what}: online again, and {oracle.hits - hits} of {KEYS} stored at the next start")
            print(f"full: {what}: online again, {oracle.hits - hits} hits after the next start, 0 wrong")
        finally:
            larder.kill()


def a_limit_on_files(binary):
    """A full disk, too, for those who may not mount."""
    with tempfile.TemporaryDirectory(prefix="larder-full-") as folder:
        limited = Path(folder) / "larder"
        limited.write_text(f'#!/bin/sh\nulimit -f 1024 && exec "{binary}" "$@"\n')
        limited.chmod(0o755)
        what = "files of 1 MiB at most"
        is_read_only(answered(str(limited), f"{folder}/cache", what)[2], what)


def mounted_read_only(binary):
    """A folder of the cache whose device may only be read costs that folder, and is told once."""
    what = "a device that may only be read"
    with tmpfs("256m") as device, tempfile.TemporaryDirectory(prefix="larder-full-") as folder:
        if device is None:
            return
        config = Path(folder) / "larder.toml"
        disk = '[[cache.disks]]\ndir = "{}"\nsize = "160MiB"\n'
        config.write_text(disk.format(f"{device}/store"))
        sizes = ("--memory", "4MiB", "--config", str(config))
        answered(binary, f"{folder}/cache", "a device that may be written to", sizes=sizes)
        subprocess.run(["mount", "-o", "remount,ro", device], check=True)
        said = answered(binary, f"{folder}/cache", what, sizes=sizes)[2]
        lines = [line for line in said if "the cache works without it" in line]
        if len(lines) != 1:
            raise Violation(f"{what}: one line says so, not {len(lines)}: {''.join(said)}")


def run(binary):
    for size in ["1m", "8m"]:
        full_and_online_again(binary, size)
    mounted_read_only(binary)
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
