"""One attack on a server of its own: measured before, during and after."""

import asyncio
import dataclasses
import multiprocessing
import os
import socket
import sys
import threading
import time

import origin
from good import Good
from server import Server
from wires import Target

RECOVERY_S = 60
# What is left in use may differ by so much: the good client's own connection and its last response.
SLACK_BYTES = 1 << 20
# Attacks that took less are not repeated: what they could lose is lost in the noise.
AGAIN_FROM_BYTES = 24 << 20
SLACK_DESCRIPTORS = 12
CALIBRATION_HITS = 20_000
CALIBRATION_MISSES = 150


@dataclasses.dataclass
class Result:
    attack: object
    sent: int = 0
    connections: int = 0
    moved: int = 0
    cpu_s: float = 0
    hit_cpu_s_per_byte: float = 0
    miss_cpu_s_per_byte: float = 0
    memory_peak: int = 0
    before: object = None
    during: object = None
    after: object = None
    recovered_s: float | None = None
    left_descriptors: int = 0
    left_bytes: int = 0
    resident_after: int = 0
    grown: int = 0
    diagnostic_bytes: int = 0
    crashed: str = ""


class Trial:
    def __init__(self, binary, attack, seconds):
        self.attack, self.seconds = attack, seconds
        self.origin, self.origin_process = origin.start()
        self.server = Server(binary, nofile=attack.nofile, intercepts=attack.intercepts)
        self.good = Good(self.server.port, self.origin)
        self.sent, self.opened = multiprocessing.Value("Q", 0), multiprocessing.Value("Q", 0)

    def run(self):
        result = Result(self.attack)
        try:
            self.good.ask()
            hit_cpu_s = self.calibrate(result)
            self.calibrate_misses(result)
            result.before = self.beside_a_burner()
            resident, in_use = self.server.resident(), self.server.in_use()
            descriptors, moved = self.server.descriptors(), self.server.moved()
            self.during(result, resident, hit_cpu_s)
            self.afterwards(result, in_use, descriptors)
            # Counted when an exchange ends, which is after the attack for some.
            result.moved = self.server.moved() - moved
            self.again(result)
        except (OSError, RuntimeError) as error:
            if not self.server.has_ended():
                raise
            result.crashed = f"larder has ended ({error}): {''.join(self.server.lines[-3:])}"
        finally:
            result.diagnostic_bytes = self.server.diagnostic_bytes
            self.server.stop()
            self.origin_process.kill()
        return result

    def calibrate(self, result):
        """What a plain hit costs, by itself and for each byte of its request."""
        request, began = self.good.request, self.server.cpu_s()
        with socket.create_connection(("127.0.0.1", self.server.port), 30) as sock:
            batch, answered = 50, 0
            while answered < CALIBRATION_HITS:
                sock.sendall(request * batch)
                seen = 0
                while seen < batch:
                    seen += sock.recv(1 << 16).count(b"HTTP/1.1 200")
                answered += batch
        cost = (self.server.cpu_s() - began) / CALIBRATION_HITS
        result.hit_cpu_s_per_byte = cost / len(request)
        return cost

    def calibrate_misses(self, result):
        """What a plain miss of 1 MB costs for each byte that is moved. Afterwards the cache is full."""
        cpu, moved = self.server.cpu_s(), self.server.moved()
        with socket.create_connection(("127.0.0.1", self.server.port), 30) as sock:
            for number in range(CALIBRATION_MISSES):
                sock.sendall(self.good.get(f"/mb/calibration/{number}"))
                left = 1 << 20
                while left > 0:
                    left -= len(sock.recv(1 << 18))
        result.miss_cpu_s_per_byte = (self.server.cpu_s() - cpu) / max(1, self.server.moved() - moved)

    def beside_a_burner(self):
        burner = multiprocessing.Process(target=burn, daemon=True)
        burner.start()
        try:
            return self.good.measure(max(1.0, self.seconds / 2))
        finally:
            burner.kill()
            burner.join()

    def during(self, result, resident, hit_cpu_s):
        began = self.server.cpu_s()
        attacker = self.attacker()
        watcher = Watcher(self.server, resident)
        watcher.start()
        result.during = self.good.measure(self.seconds)
        attacker.join(self.seconds + 20)
        attacker.kill()
        result.memory_peak = watcher.end()
        hits = len(result.during.took)
        result.cpu_s = max(0.0, self.server.cpu_s() - began - hits * hit_cpu_s)
        result.sent, result.connections = self.sent.value, self.opened.value

    def attacker(self):
        """The attack under way, in a process of its own."""
        arguments = (self.attack, self.server.port, self.server.tls_port, self.origin, self.sent, self.opened, self.seconds)
        attacker = multiprocessing.Process(target=attack, args=arguments, daemon=True)
        attacker.start()
        return attacker

    def afterwards(self, result, in_use, descriptors):
        result.after = self.good.measure(1)
        result.resident_after = self.server.resident()
        began = time.monotonic()
        while time.monotonic() - began < RECOVERY_S:
            result.left_bytes = self.server.in_use() - in_use
            result.left_descriptors = self.server.descriptors() - descriptors
            if result.left_bytes <= SLACK_BYTES and result.left_descriptors <= SLACK_DESCRIPTORS:
                result.recovered_s = time.monotonic() - began
                return
            time.sleep(0.5)

    def again(self, result):
        """The allocator keeps memory that is free for the next who needs it; what is lost grows with each attack."""
        if result.memory_peak < AGAIN_FROM_BYTES:
            return
        # What is free is in pieces, which the first repetition may not fit: the second has to.
        grown, before = [], result.resident_after
        for _ in range(2):
            attacker = self.attacker()
            attacker.join(self.seconds + 20)
            attacker.kill()
            after = self.server.resident()
            grown.append(after - before)
            before = after
        result.grown = min(grown)


class Watcher:
    """The most resident memory beyond that of before, with a cache that was full already; looked at in a thread of its own."""

    def __init__(self, server, before):
        self.server, self.before, self.peak, self.goes_on = server, before, 0, True

    def start(self):
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while self.goes_on and not self.server.has_ended():
            try:
                self.peak = max(self.peak, self.server.resident() - self.before)
            except OSError:
                pass
            time.sleep(0.2)

    def end(self):
        self.goes_on = False
        self.thread.join()
        return self.peak


def attack(which, port, tls_port, origin_port, sent, opened, seconds):
    # What ends badly for an attacker is no news.
    sys.stderr = open(os.devnull, "w")
    target = Target(port, tls_port, origin_port, sent, opened, time.monotonic() + seconds)

    async def bounded():
        try:
            await asyncio.wait_for(which.act(target), seconds + 5)
        except (TimeoutError, asyncio.TimeoutError):
            pass

    asyncio.run(bounded())


def burn():
    end = time.monotonic() + 120
    while time.monotonic() < end:
        pass
