"""The program itself after `kill -9`: from its start to the first hit on disk that a client has."""

import socket
import statistics
import subprocess
import time
from pathlib import Path

from serving import free_port


def filled(binary, folder, objects):
    """Fills a folder with ordinary responses in a process that is killed then; octets stored, and written."""
    process = subprocess.Popen([binary, Path(folder) / "store", str(objects)], stdout=subprocess.PIPE, text=True)
    numbers = [int(word) for word in process.stdout.readline().split()]
    process.kill()
    process.wait()
    return numbers


def first_hit(binary, folder, number):
    """Seconds from the start of the process to the end of a response from disk."""
    port = free_port()
    config = Path(folder) / "larder.toml"
    config.write_text("")
    command = [binary, "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off", "--config", config,
               "--cache-dir", folder, "--disk", "1TiB"]
    target = f"http://127.0.0.1:9/folder/page-{number:08}.html"
    request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:9\r\nConnection: close\r\n\r\n".encode()
    began = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        answer = None
        while answer is None and time.monotonic() < began + 60:
            answer = ask(port, request)
        seconds = time.monotonic() - began
        if not answer or b"; hit" not in answer:
            raise RuntimeError(f"no hit on {target}: {answer}")
        return seconds
    finally:
        process.kill()
        process.wait()


def ask(port, request):
    """The answer; `None` while nothing listens."""
    try:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(request)
            parts = []
            while part := client.recv(65536):
                parts.append(part)
            return b"".join(parts)
    except ConnectionError:
        time.sleep(0.001)
        return None


def measure(larder, objects_binary, folder, objects):
    """Seconds to the first hit, the median of five kills; octets written for each octet stored."""
    stored, written = filled(objects_binary, folder, objects)
    times = [first_hit(larder, folder, turn * objects // 7) for turn in range(1, 6)]
    return statistics.median(times), written / stored
