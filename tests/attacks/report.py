"""Bounds, and results in words and in tables."""

MEMORY_PER_BYTE_MAX = 10
MEMORY_PER_CONNECTION_MAX = 64 << 10
# An HTTP/2 connection carries a hundred streams, with a head and buffers for each.
MEMORY_PER_HTTP2_CONNECTION_MAX = 8 << 20
# What a second attack may add to what the first has left: more would be lost memory.
GROWN_MAX = 48 << 20
CPU_HITS_PER_BYTE_MAX = 20
# What an origin sends has to be read, and what a client gets has to be written, whoever asked for it.
CPU_MISSES_PER_BYTE_MOVED = 4
LATENCY_MAX = 2
DIAGNOSTICS_MAX = 256 << 10
# Below this a percentile of a busy machine means nothing.
LATENCY_FLOOR_MS = 5
# What starts once, whatever the attack: threads, TLS, tables.
MEMORY_FLOOR = 16 << 20
# The clock of a process ticks a hundred times a second.
CPU_FLOOR_S = 0.2


def violations(result, holds_latency):
    """What is beyond its bound, in words."""
    if result.crashed:
        return [result.crashed]
    found = []
    each = MEMORY_PER_HTTP2_CONNECTION_MAX if result.attack.is_http2 else MEMORY_PER_CONNECTION_MAX
    memory_max = MEMORY_PER_BYTE_MAX * result.sent + each * result.connections + MEMORY_FLOOR
    if result.memory_peak > memory_max:
        found.append(f"memory {result.memory_peak >> 10} KiB, at most {memory_max >> 10}")
    cpu_max = CPU_HITS_PER_BYTE_MAX * result.hit_cpu_s_per_byte * result.sent + CPU_FLOOR_S
    cpu_max += CPU_MISSES_PER_BYTE_MOVED * result.miss_cpu_s_per_byte * result.moved
    if result.cpu_s > cpu_max:
        found.append(f"CPU {result.cpu_s:.2f} s, at most {cpu_max:.2f}")
    if result.during.failed or result.after.failed:
        found.append(f"the good client failed {result.during.failed + result.after.failed} times")
    if result.recovered_s is None:
        found.append(f"left after 60 s: {result.left_descriptors} descriptors, {result.left_bytes >> 10} KiB in use")
    if result.grown > GROWN_MAX:
        found.append(f"the same attack again took another {result.grown >> 10} KiB")
    if result.diagnostic_bytes > DIAGNOSTICS_MAX:
        found.append(f"{result.diagnostic_bytes >> 10} KiB of diagnostics")
    latency_max = LATENCY_MAX * max(result.before.at(0.99), LATENCY_FLOOR_MS)
    if holds_latency and result.during.at(0.99) > latency_max:
        found.append(f"p99 {result.during.at(0.99):.1f} ms, at most {latency_max:.1f}")
    return found


def per_byte(result):
    sent = max(result.sent, 1)
    memory = max(0, result.memory_peak) / sent
    cpu = result.cpu_s / sent / max(result.hit_cpu_s_per_byte, 1e-12)
    return memory, cpu


def line(result, holds_latency):
    if result.crashed:
        return f"{result.attack.name}: FAILED: {result.crashed}"
    memory, cpu = per_byte(result)
    text = (f"{result.attack.name}: {result.sent:,} bytes on {result.connections} connections; memory "
            f"+{max(0, result.memory_peak) >> 10:,} KiB ({memory:.1f} a byte), CPU {result.cpu_s:.2f} s ({cpu:.1f} hits); "
            f"good client {result.before} before, {result.during} during, {result.after} after; "
            f"back after {'more than 60' if result.recovered_s is None else round(result.recovered_s)} s")
    found = violations(result, holds_latency)
    return f"{text}; FAILED: {'; '.join(found)}" if found else text


def markdown(results):
    rows = ["| attack | bytes sent | connections | memory, KiB | a byte | CPU, s | hits a byte | before, ms | during | after "
            "| back, s |", "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for result in results:
        if result.crashed:
            rows.append(f"| {result.attack.name} | ended the process |" + " |" * 9)
            continue
        memory, cpu = per_byte(result)
        back = "not" if result.recovered_s is None else f"{result.recovered_s:.0f}"
        rows.append(f"| {result.attack.name}: {result.attack.what} | {result.sent:,} | {result.connections:,} "
                    f"| {max(0, result.memory_peak) >> 10:,} | {memory:.1f} | {result.cpu_s:.2f} | {cpu:.1f} "
                    f"| {result.before} | {result.during} | {result.after} | {back} |")
    return "\n".join(rows) + "\n"
