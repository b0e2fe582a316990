"""The index of the disk tier: its memory, and how long a start takes after `kill -9`."""

import statistics
import subprocess
from pathlib import Path

# Octets of content; with head and header, a record of 512 octets, and of 256.
SMALL, TINY = 200, 0


def filled(binary, folder, records, length):
    """Fills a folder in a process that is killed then; octets written, and octets for a 304."""
    process = subprocess.Popen([binary, "fill", folder, str(records), str(length)], stdout=subprocess.PIPE, text=True)
    numbers = [int(word) for word in process.stdout.readline().split()]
    process.kill()
    process.wait()
    return numbers


def started(binary, folder, records):
    """Seconds to the first hit and octets of memory: medians of five starts after the kill."""
    times, memory = [], []
    for turn in range(5):
        # A start that ended in order would save the index anew: this one is about a kill.
        saved = Path(folder) / "index"
        kept = saved.read_bytes() if turn == 0 and saved.exists() else kept if turn else None
        out = subprocess.run([binary, "open", folder, str(records // 2)], check=True, capture_output=True, text=True)
        seconds, resident, found = out.stdout.split()
        if int(found) < records:
            raise RuntimeError(f"{found} of {records} records")
        times.append(float(seconds))
        memory.append(int(resident))
        if kept is not None:
            saved.write_bytes(kept)
    return statistics.median(times), statistics.median(memory)


def measure(binary, folder, records, length):
    written, a_304 = filled(binary, folder, records, length)
    start, memory = started(binary, folder, records)
    admitted = records * (length + 100)
    return {
        "memory": memory / records,
        "written": written / admitted,
        "a 304": a_304,
        "start": start,
    }
