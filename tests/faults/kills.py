"""Rounds of load, `kill -9` at a random moment, and a check of everything that is served after that."""

import os
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path

import burn
import wire
from oracle import KEYS, Oracle, varies
from origin import Origin
from process import Larder

# A disk that is full all the time, and memory that holds little of it.
SIZES = ("--disk", "24MiB", "--memory", "4MiB")
CLIENTS = 3
LANGUAGES = ("de", "en")
# How long a round's load lasts at the most; on a busy machine less happens in the same time.
LOAD_S_MAX, LOAD_S_MAX_BUSY = 0.12, 0.5


class Violation(Exception):
    """Something wrong was served."""


class Load:
    """Clients that ask at random until the proxy is gone."""

    def __init__(self, oracle, origin, port, seed):
        self.oracle, self.origin, self.port = oracle, origin, port
        self.violations = []
        self.threads = [threading.Thread(target=self.run, args=(seed * CLIENTS + number,)) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, seed):
        chance = random.Random(seed)
        try:
            client = wire.Client(self.port)
            while True:
                # Few keys are asked for often.
                key = int(KEYS * chance.random() ** 2)
                if chance.random() < 0.06:
                    self.change(client, key)
                else:
                    self.get(client, key, chance.choice(LANGUAGES))
        except (OSError, wire.Ended):
            # Killed.
            pass

    def change(self, client, key):
        answer = client.ask("POST", self.origin.url(key), ["Content-Length: 0"])
        self.oracle.changed(key, int(answer.field("x-generation")))

    def get(self, client, key, language):
        floor = self.oracle.floor[key]
        answer = client.ask("GET", self.origin.url(key), [f"Accept-Language: {language}"])
        if wrong := self.oracle.check(key, language, floor, answer):
            self.violations.append(f"key {key} under load: {wrong}")

    def join(self):
        for thread in self.threads:
            thread.join()


def check_all(oracle, origin, port):
    """Asks for every key: what is stored is served from disk."""
    client = wire.Client(port)
    for key in range(KEYS):
        for language in LANGUAGES if varies(key) else LANGUAGES[:1]:
            try:
                answer = client.ask("GET", origin.url(key), [f"Accept-Language: {language}"])
            except (OSError, wire.Ended) as error:
                raise Violation(f"key {key}: no whole answer: {error}") from error
            if wrong := oracle.check(key, language, oracle.floor[key], answer):
                raise Violation(f"key {key} after the kill: {wrong}")
    client.close()


def rounds(binary, count, seed, slow=None):
    """Runs so many rounds; gives how many responses and hits were checked. In every second one the removal of a
    segment's file is slow, as `slow` says: the library for it and a number of milliseconds."""
    chance = random.Random(seed)
    oracle = Oracle()
    origin = Origin(oracle)
    folder = Path(tempfile.mkdtemp(prefix="larder-faults-"))
    hits_after = 0
    for number in range(count + 1):
        environment = burn.environment(*slow) if slow and number % 2 else {}
        larder = Larder(binary, folder, *SIZES, environment=environment)
        try:
            hits = oracle.hits
            check_all(oracle, origin, larder.port)
            hits_after += oracle.hits - hits if number else 0
            if number == count:
                break
            load = Load(oracle, origin, larder.port, seed * 1_000_003 + number)
            time.sleep(chance.random() * (LOAD_S_MAX_BUSY if slow else LOAD_S_MAX))
            larder.kill()
            load.join()
            for path in larder.late_removals():
                oracle.may_be_back(int(path))
            if load.violations:
                raise Violation(load.violations[0])
        except Violation as violation:
            os.rename(folder, kept := f"{folder}-kept")
            raise Violation(f"round {number} of seed {seed}: {violation}; the folder is {kept}") from violation
        finally:
            if larder.process.poll() is None:
                larder.kill()
    shutil.rmtree(folder)
    return oracle.checked, hits_after
