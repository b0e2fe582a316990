"""Serving one large file from the page cache: Larder's disk tier beside nginx and a bare sendfile loop."""

import http.server
import os
import shutil
import socket
import statistics
import subprocess
import threading
import time

LENGTH = 100 * 1000 * 1000
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process and the children it has."""
    total = 0
    for task in [pid, *children(pid)]:
        with open(f"/proc/{task}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as text:
            found += [int(child) for child in text.read().split()]
    return found


class Origin(http.server.BaseHTTPRequestHandler):
    """Gives the file, and counts how often."""

    protocol_version = "HTTP/1.1"
    content = b""
    asked = 0

    def do_GET(self):
        Origin.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(Origin.content)))
        self.send_header("Cache-Control", "max-age=86400")
        self.send_header("ETag", '"a"')
        self.end_headers()
        self.wfile.write(Origin.content)

    def log_message(self, *_):
        pass


class Client:
    """One kept-alive connection."""

    def __init__(self, port, target, host):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.buffer = bytearray(1 << 20)

    def get(self):
        """Asks once; gives the response's head."""
        self.socket.sendall(self.request)
        head = b""
        while b"\r\n\r\n" not in head:
            some = self.socket.recv(65536)
            if not some:
                raise RuntimeError("the connection ended")
            head += some
        head, _, begun = head.partition(b"\r\n\r\n")
        left = LENGTH - len(begun)
        while left:
            read = self.socket.recv_into(self.buffer, min(left, len(self.buffer)))
            if not read:
                raise RuntimeError("the connection ended")
            left -= read
        return head


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"nothing listens on port {port}")


def nginx(folder, path):
    """Serves the file with sendfile and one worker."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(f"""
        daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
        events {{}}
        http {{
            access_log off; sendfile on; keepalive_requests 1000000;
            client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
            uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{ listen 127.0.0.1:{port}; root {path.parent}; }}
        }}
    """)
    return subprocess.Popen(["nginx", "-c", str(config)]), port


def measure(binary, ceiling, folder, rounds, requests):
    """CPU seconds per GB and GB per second of each contestant, as medians over the rounds."""
    path = folder / "file"
    Origin.content = os.urandom(1 << 20) * (LENGTH // (1 << 20) + 1)
    Origin.content = Origin.content[:LENGTH]
    path.write_bytes(Origin.content)
    os.chmod(folder, 0o755)
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    processes = {}
    try:
        contestants = {}
        loop = subprocess.Popen([ceiling, path], stdout=subprocess.PIPE, text=True)
        processes["sendfile loop"] = loop
        contestants["sendfile loop"] = Client(int(loop.stdout.readline()), "/file", "a")
        if shutil.which("nginx"):
            processes["nginx"], port = nginx(folder, path)
            wait_for(port)
            contestants["nginx"] = Client(port, "/file", "a")
        port = free_port()
        # Memory that holds no such object: what is measured comes from the disk tier.
        arguments = ["--listen", f"127.0.0.1:{port}", "--admin", "off", "--memory", "16MiB", "--disk", "1GiB"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        processes["larder"] = subprocess.Popen(
            [binary, "serve", *arguments, "--cache-dir", folder / "cache"],
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        wait_for(port)
        host = f"127.0.0.1:{origin.server_port}"
        contestants["larder"] = Client(port, f"http://{host}/file", host)
        for _ in range(100):
            if b"larder; hit" in contestants["larder"].get():
                break
        asked = Origin.asked
        found = {name: [] for name in contestants}
        for turn in range(rounds):
            names = list(contestants)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                cpu, began = cpu_seconds(processes[name].pid), time.monotonic()
                for _ in range(requests):
                    contestants[name].get()
                gigabytes = requests * LENGTH / 1e9
                cpu = (cpu_seconds(processes[name].pid) - cpu) / gigabytes
                found[name].append((cpu, gigabytes / (time.monotonic() - began)))
        if Origin.asked != asked:
            raise RuntimeError("a hit has reached the origin")
        medians = {}
        for name, rows in found.items():
            medians[name] = tuple(statistics.median(column) for column in zip(*rows))
        ratios = [own[0] / loop[0] for own, loop in zip(found["larder"], found["sendfile loop"])]
        return medians, statistics.median(ratios)
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait()
        origin.shutdown()
