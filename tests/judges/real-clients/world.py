"""All that a check can reach: the running origin, the running proxy, and the clients between them."""

import dataclasses
import pathlib
import shutil
import sys

from browser import Browser
from clients import Clients
from larder import Larder
from origin import Origin
from processes import clean_environment
from report import Report


@dataclasses.dataclass
class World:
    report: Report
    origin: Origin
    larder: Larder
    clients: Clients
    browser: Browser
    tools: dict
    artifacts: pathlib.Path

    @classmethod
    def build(cls, report, folder, binary, tools, artifacts):
        env = clean_environment(folder)
        origin = Origin(folder, tools, env)
        larder = Larder(binary, folder, env)
        clients = Clients(folder, tools, larder, origin.certificate, env)
        browser = Browser(tools["chromium"], folder, larder, env)
        return cls(report, origin, larder, clients, browser, tools, artifacts)

    def __enter__(self):
        try:
            self.origin.start()
            self.larder.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        self.larder.stop()
        self.origin.stop()
        if kind or self.report.failed:
            self._keep_logs()

    def command_line_clients(self):
        """Name and load function of each client that is there, the interpreter running this being always there."""
        loads = {"curl": self.clients.curl, "wget": self.clients.wget, "urllib": self.clients.urllib,
                 "node": self.clients.node}
        return [(name, load) for name, load in loads.items() if name == "urllib" or self.tools[name]]

    def _keep_logs(self):
        """The temporary folder is about to vanish; what explains a failure moves to the artefacts."""
        self.artifacts.mkdir(parents=True, exist_ok=True)
        for path in (self.larder.server.log_path, self.larder.access_log,
                     self.origin.log_path, self.origin.server.log_path):
            if path.exists():
                shutil.copy(path, self.artifacts / f"real-clients-{path.name}")
