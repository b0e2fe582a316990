"""How each contestant is started: one worker, no access log, memory first."""

import functools
import os
import shutil
from datetime import datetime, timezone
from email.utils import format_datetime

from machine import Server, fill, free_port
from packages import program

# In the table's order. The value is the program that must be there; the first three are built, not installed.
ALL = {
    "ceiling": None,
    "larder": None,
    # Another Larder, whose program `--previous` names.
    "previous": None,
    "nginx": "nginx",
    "haproxy": "haproxy",
    "squid": "squid",
    "trafficserver": "traffic_server",
}

# Their clients send the absolute-form of the request target.
FORWARD = {"larder", "previous", "squid", "trafficserver"}


def runnable(chosen, programs):
    """The contestants that can take part, and a sentence for each that cannot."""
    able, left_out = [], []
    for name in chosen:
        if ALL[name] and not program(ALL[name]):
            left_out.append(f"{name} is not installed")
        elif name in programs and not programs[name].exists():
            left_out.append(f"{name}: {programs[name]} is not there")
        else:
            able.append(name)
    return able, left_out


def origin(machine, programs):
    # Some caches compute no freshness without a Date, and the origin program knows no calendar.
    date = format_datetime(datetime.now(timezone.utc), usegmt=True)
    port = free_port()
    return Server(machine, machine.load_core, port, [programs["ceiling"], "origin", port, date],
                  machine.own_folder("origin"))


def start(name, machine, scenario, origin_port, programs):
    return STARTERS[name](machine, scenario, origin_port, programs)


def ceiling(machine, scenario, origin_port, programs):
    port = free_port()
    mode = ["fixed", port, scenario.body_bytes] if scenario.is_hit else ["relay", port, origin_port]
    return Server(machine, machine.server_core, port, [programs["ceiling"], *mode],
                  machine.own_folder("ceiling"))


def larder(machine, _scenario, _origin_port, programs, name="larder"):
    folder, port = machine.own_folder(name), free_port()
    fill("larder.toml", folder / "larder.toml")
    command = [programs[name], "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off",
               "--memory", "256MiB", "--disk", "0", "--cache-dir", folder / "cache",
               "--config", folder / "larder.toml"]
    # What the caller has set for a Larder of their own is not part of the comparison.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LARDER_")}
    return Server(machine, machine.server_core, port, command, folder, environment)


def nginx(machine, _scenario, origin_port, _programs):
    folder, port = machine.own_folder("nginx", user="www-data"), free_port()
    user_line = "user www-data;" if os.geteuid() == 0 else ""
    fill("nginx.conf", folder / "nginx.conf", dir=folder, port=port, origin_port=origin_port, user_line=user_line)
    # `-e`: until it has read its file it would write to the system's own error log.
    command = [program("nginx"), "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"]
    return Server(machine, machine.server_core, port, command, folder)


def haproxy(machine, _scenario, origin_port, _programs):
    folder, port = machine.own_folder("haproxy"), free_port()
    fill("haproxy.cfg", folder / "haproxy.cfg", port=port, origin_port=origin_port)
    return Server(machine, machine.server_core, port, [program("haproxy"), "-db", "-f", folder / "haproxy.cfg"],
                  folder)


def squid(machine, _scenario, _origin_port, _programs):
    folder, port = machine.own_folder("squid", user="proxy"), free_port()
    fill("squid.conf", folder / "squid.conf", dir=folder, port=port)
    # `-N`: one process in the foreground. `-n`: its shared names must not meet those of a system service.
    command = [program("squid"), "-N", "-n", f"compare{port}", "-f", folder / "squid.conf"]
    return Server(machine, machine.server_core, port, command, folder)


def trafficserver(machine, _scenario, _origin_port, _programs):
    # It refuses to serve as root; `#-1` tells it to stay who it is.
    user = "trafficserver" if os.geteuid() == 0 else "#-1"
    folder, port = machine.own_folder("trafficserver", user="trafficserver"), free_port()
    for template in ("records.config", "storage.config", "ip_allow.yaml"):
        fill(f"trafficserver/{template}", folder / "etc" / template, dir=folder, port=port, user=user)
    fill("trafficserver/runroot.yaml", folder / "runroot.yaml", dir=folder)
    for name in ("cache", "var"):
        (folder / name).mkdir()
        if os.geteuid() == 0:
            shutil.chown(folder / name, "trafficserver")
    command = [program("traffic_server"), f"--run-root={folder / 'runroot.yaml'}"]
    return Server(machine, machine.server_core, port, command, folder)


STARTERS = {
    "ceiling": ceiling,
    "larder": larder,
    "previous": functools.partial(larder, name="previous"),
    "nginx": nginx,
    "haproxy": haproxy,
    "squid": squid,
    "trafficserver": trafficserver,
}
