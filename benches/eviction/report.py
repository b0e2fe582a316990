"""Tables, plots and the verdict: `report.py [--check] TITLE FOOTPRINT_BYTES ASKED_BYTES OUT LINES…`.

LINES are files with what the driver and `peers.py` wrote. OUT is the folder for `table.txt`, and for a plot of each
tier as SVG and PNG.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot
from matplotlib.ticker import FuncFormatter, MultipleLocator

# What the store is held to. Of requests in RAM at the size of RAM_SHARE; of octets on disk at every size.
RAM_OVER_LRU_MIN = 1.25
RAM_SHARE = 0.01
DISK_OVER_FIFO_MIN = 0.03

HEADINGS = ("Requests hit, of 100", "Octets hit, of 100", "Octets written to disk, of 100 asked for")
PEERS = ("FIFO", "LRU", "S3-FIFO", "GDSF", "Belady", "Belady by size")
# Colours that the usual colour blindnesses keep apart (Okabe and Ito), and a dash and a mark for print.
LOOKS = {
    "FIFO": ("#999999", "--", "v"),
    "LRU": ("#000000", "--", "s"),
    "S3-FIFO": ("#E69F00", "-", "D"),
    "GDSF": ("#56B4E9", "-", "^"),
    "Belady": ("#CC79A7", ":", "x"),
    "Belady by size": ("#0072B2", ":", "+"),
}
OURS = (("#D55E00", "-", "o"), ("#009E73", "-", "P"), ("#7A4FBF", "-", "X"))


def main(arguments):
    check = "--check" in arguments
    title, footprint, asked, out, *files = [argument for argument in arguments if argument != "--check"]
    out = Path(out)
    rows = read(files, int(footprint))
    table = tables(rows, int(asked))
    verdict = verdicts(rows)
    text = "\n".join([title, "", *table, "", *(f"{'holds' if held else 'FAILS'}   {claim}" for claim, held in verdict)])
    print(text)
    (out / "table.txt").write_text(text + "\n")
    ours = [policy for policy in rows if policy not in PEERS]
    plot(rows, [policy for policy in ours if "RAM" in policy and "disk" not in policy], f"RAM tier. {title}", out / "ram")
    plot(rows, [policy for policy in ours if "disk" in policy], f"Disk tier. {title}", out / "disk")
    return 1 if check and not all(held for _, held in verdict) else 0


def read(files, footprint):
    """Policy -> share of the footprint -> (requests, octets, admitted, moved)."""
    rows = {}
    for file in files:
        for line in Path(file).read_text().splitlines():
            policy, size, *figures = line.split("\t")
            # The size was rounded down to an octet.
            share = float(f"{int(size) / footprint:.3g}")
            rows.setdefault(policy, {})[share] = tuple(map(float, figures))
    order = [*PEERS, *(policy for policy in rows if policy not in PEERS)]
    return {policy: rows[policy] for policy in order if policy in rows}


def tables(rows, asked):
    shares = sorted({share for figures in rows.values() for share in figures})
    width = max(map(len, [*rows, HEADINGS[2]])) + 2

    def table(name, cell):
        yield f"{name:{width}}" + "".join(f"{share * 100:>9.4g} %" for share in shares)
        for policy, figures in rows.items():
            cells = [cell(figures[share]) if share in figures else None for share in shares]
            if any(cells):
                yield f"  {policy:{width - 2}}" + "".join(f"{text or '–':>11}" for text in cells)

    yield from table(HEADINGS[0], lambda figures: f"{figures[0] * 100:.2f}")
    yield ""
    yield from table(HEADINGS[1], lambda figures: f"{figures[1] * 100:.2f}")
    yield ""
    for policy in ("FIFO", "LRU"):
        # They would write what they miss, and move nothing.
        for share, (requests, octets, *_) in rows[policy].items():
            rows[policy][share] = (requests, octets, (1 - octets) * asked, 0)
    yield from table(HEADINGS[2], lambda figures:
                     figures[2] and f"{(figures[2] + figures[3]) / asked * 100:.1f}")
    yield ""
    yield "–: not measured; a disk of so few octets would have fewer than eight segments."


def verdicts(rows):
    """(claim with its numbers, whether it holds); what was not measured does not hold."""
    requests, octets = ({policy: {share: figures[column] for share, figures in of.items()}
                         for policy, of in rows.items()} for column in (0, 1))
    lru = requests["LRU"][RAM_SHARE]
    ram = requests.get("Larder RAM", {}).get(RAM_SHARE, 0)
    found = [(f"RAM at {RAM_SHARE:.0%}: requests hit {ram:.4f}, {ram / lru:.2f} × LRU's {lru:.4f} "
              f"(at least {RAM_OVER_LRU_MIN})", ram >= RAM_OVER_LRU_MIN * lru)]
    disk = next((policy for policy in rows if policy.startswith("Larder disk")), None)
    if not disk:
        return [*found, ("no disk was measured", False)]
    for share, ours in sorted(octets[disk].items()):
        fifo, lru = octets["FIFO"][share], octets["LRU"][share]
        held = ours >= fifo + DISK_OVER_FIFO_MIN and ours >= lru
        found.append((f"{disk} at {share * 100:.4g} %: octets hit {ours:.4f}, FIFO {fifo:.4f} {points(ours - fifo)} "
                      f"(at least +{DISK_OVER_FIFO_MIN * 100:.0f}), LRU {lru:.4f} {points(ours - lru)}", held))
    return found


def points(difference):
    return f"{difference * 100:+.1f}"


def plot(rows, ours, title, stem):
    """Two panels, requests and octets, over the cache's size."""
    if not ours:
        return
    pyplot.rcParams.update({"font.size": 11, "svg.fonttype": "none", "svg.hashsalt": "larder"})
    figure, panels = pyplot.subplots(1, 2, figsize=(12.5, 5.6), sharex=True)
    looks = LOOKS | dict(zip(ours, OURS))
    for column, (panel, what) in enumerate(zip(panels, ("requests", "octets"))):
        for policy in [*(peer for peer in PEERS if peer in rows), *ours]:
            colour, dash, mark = looks[policy]
            is_ours = policy in ours
            shares = sorted(rows[policy])
            panel.plot([share * 100 for share in shares], [rows[policy][share][column] * 100 for share in shares],
                       color=colour, linestyle=dash, marker=mark, label=policy, zorder=3 if is_ours else 2,
                       linewidth=2.6 if is_ours else 1.4, markersize=7 if is_ours else 5)
        panel.set_xscale("log")
        sizes = sorted({share * 100 for of in rows.values() for share in of})
        panel.set_xticks(sizes, [f"{size:.4g} %" for size in sizes])
        panel.minorticks_off()
        panel.set_xlabel("cache size, share of all objects' octets")
        panel.set_ylabel(f"{what} served from the cache")
        panel.set_ylim(0, 80)
        panel.yaxis.set_major_locator(MultipleLocator(10))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
        panel.grid(color="#dddddd", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    figure.legend(handles, labels, loc="lower center", ncols=(len(labels) + 1) // 2, frameon=False)
    figure.tight_layout(rect=(0, 0.11, 1, 0.99))
    figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(stem.with_suffix(".png"), dpi=110)
    pyplot.close(figure)


sys.exit(main(sys.argv[1:]))
