"""What libcachesim's policies make of the trace: `peers.py TRACE OUT BYTES…` writes a line per policy and size.

The lines are those of the driver: policy, cache size, share of requests and of octets that were hits, and two columns
for octets written, which a simulation of object lookups does not have.
"""

import sys

import libcachesim

# Their names in the report. Belady knows the future: no cache can. The size-aware one is best by requests, and knows no
# better than a sample of what it holds.
POLICIES = {
    "LRU": libcachesim.LRU,
    "FIFO": libcachesim.FIFO,
    "S3-FIFO": libcachesim.S3FIFO,
    "GDSF": libcachesim.GDSF,
    "Belady": libcachesim.Belady,
    "Belady by size": libcachesim.BeladySize,
}


def main(trace, out, *sizes):
    with open(out, "w") as lines:
        for size in sizes:
            for name, policy in POLICIES.items():
                reader = libcachesim.TraceReader(trace, libcachesim.TraceType.ORACLE_GENERAL_TRACE)
                requests_missed, octets_missed = policy(int(size)).process_trace(reader)
                print(name, size, f"{1 - requests_missed:.6f}", f"{1 - octets_missed:.6f}", 0, 0,
                      sep="\t", file=lines)


main(*sys.argv[1:])
