"""The table for the terminal, the same in Markdown, the numbers in JSON, and what `--check` holds Larder to."""

import json
import statistics
from dataclasses import asdict
from datetime import datetime, timezone

# The least rate of one uncacheable URL for everybody, as a share of the rate of distinct ones.
PASS_SAME_SHARE_MIN = 0.8

COLUMNS = ("contestant", "CPU µs/request", "min–max", "of it user", "requests/s", "min–max", "p99 ms",
           "× ceiling", "× larder")


def head(arguments, versions, left_out):
    lines = [
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC. {', '.join(versions)}.",
        f"Rounds: {arguments.rounds}, interleaved, {arguments.seconds} s per sample, 64 connections, server and load "
        "on one core each. Medians; × is the ratio of CPU time per request. Compare within this run only.",
    ]
    return lines + [f"Left out: {reason}." for reason in left_out]


def text(head_lines, rows):
    parts = ["", *head_lines]
    for scenario, table in tables(rows):
        widths = [max(len(line[column]) for line in [COLUMNS, *table]) for column in range(len(COLUMNS))]
        parts += ["", scenario]
        for line in [COLUMNS, *table]:
            cells = [cell.ljust(width) if column == 0 else cell.rjust(width)
                     for column, (cell, width) in enumerate(zip(line, widths))]
            parts.append("  " + "  ".join(cells).rstrip())
        parts += invalid_lines(scenario, rows)
    return "\n".join(parts)


def markdown(head_lines, rows):
    parts = ["  \n".join(head_lines)]
    for scenario, table in tables(rows):
        parts += ["", f"### {scenario}", "", "| " + " | ".join(COLUMNS) + " |",
                  "|---|" + "---:|" * (len(COLUMNS) - 1)]
        parts += ["| " + " | ".join(line) + " |" for line in table]
        parts += [f"\n{line.strip()}" for line in invalid_lines(scenario, rows)]
    return "\n".join(parts) + "\n"


def tables(rows):
    """(scenario, lines of cells) in the order measured."""
    for scenario in dict.fromkeys(row.scenario for row in rows):
        base = {name: cpu_us(rows, scenario, name) for name in ("ceiling", "larder")}
        yield scenario, [cells(row, base) for row in rows if row.scenario == scenario]


def cells(row, base):
    if row.invalid:
        return (row.contestant, "INVALID", *[""] * (len(COLUMNS) - 2))
    cpu = row.median("cpu_us")
    ratios = [f"{cpu / base[name]:.2f}" if base[name] else "–" for name in ("ceiling", "larder")]
    return (row.contestant,
            f"{cpu:.1f}", "{:.1f}–{:.1f}".format(*row.span("cpu_us")), f"{row.median('user_us'):.1f}",
            f"{row.median('requests_per_s'):.0f}", "{:.0f}–{:.0f}".format(*row.span("requests_per_s")),
            f"{row.median('p99_ms'):.1f}", *ratios)


def invalid_lines(scenario, rows):
    return [f"  {row.contestant}: INVALID: {row.invalid}" for row in rows
            if row.scenario == scenario and row.invalid]


def json_text(head_lines, rows):
    body = {"head": head_lines, "rows": [
        asdict(row) | {"median": None if row.invalid else {figure: row.median(figure) for figure in
                                                          ("cpu_us", "user_us", "requests_per_s", "p99_ms")}}
        for row in rows]}
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def failures(rows):
    """A sentence for each promise that this run does not show to hold; what was not measured does not hold."""
    hit_peer = "trafficserver" if find(rows, "hit-1k", "trafficserver") else "nginx"
    found = []
    for scenario, peer in (("hit-1k", hit_peer), ("pass-distinct", "nginx")):
        ours, theirs = (cpu_us(rows, scenario, name) for name in ("larder", peer))
        if ours is None or theirs is None:
            found.append(f"{scenario}: larder and {peer} were not both measured")
        elif ours >= theirs:
            found.append(f"{scenario}: larder takes {ours:.1f} µs, {peer} {theirs:.1f}")
    same, distinct = (find(rows, scenario, "larder") for scenario in ("pass-same", "pass-distinct"))
    if not same or not distinct:
        found.append("larder was not measured in both pass-same and pass-distinct")
    else:
        # Round by round, because a rate, unlike CPU time, follows whatever else the machine is doing.
        share = statistics.median(one.requests_per_s / other.requests_per_s
                                  for one, other in zip(same.samples, distinct.samples))
        if share < PASS_SAME_SHARE_MIN:
            found.append(f"pass-same runs at {share:.2f} of the rate of pass-distinct")
    return found


def cpu_us(rows, scenario, contestant):
    row = find(rows, scenario, contestant)
    return row.median("cpu_us") if row else None


def find(rows, scenario, contestant):
    """The valid row, if there is one."""
    for row in rows:
        if (row.scenario, row.contestant) == (scenario, contestant) and not row.invalid:
            return row
    return None
