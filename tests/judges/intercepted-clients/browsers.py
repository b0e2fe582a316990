"""Browsers, which read no variables: they trust what `larder ca install` has put into their databases."""

import pathlib
import shutil

from processes import run_bounded
from report import expect

BROWSER_S_MAX = 90


def chromium(world, folder):
    """The page, as a browser without any history gets it; its title says that the script ran."""
    command = [
        world.tools["chromium"], "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        f"--user-data-dir={folder}", f"--proxy-server={world.proxy}", "--proxy-bypass-list=<-loopback>", "--dump-dom",
        f"{world.origin.url}/chromium/page.html",
    ]
    code, out, err = run_bounded(command, world.env, BROWSER_S_MAX)
    expect("<title>intercepted and run</title>" in out, f"exit code {code}, page {out[:300]!r}, {err[-300:]}")


FIREFOX_SETTINGS = {
    "network.proxy.type": 1, "network.proxy.http": '"127.0.0.1"', "network.proxy.ssl": '"127.0.0.1"',
    "network.proxy.allow_hijacking_localhost": "true", "network.proxy.no_proxies_on": '""',
    "app.update.enabled": "false", "app.normandy.enabled": "false", "datareporting.policy.dataSubmissionEnabled": "false",
    "toolkit.telemetry.enabled": "false", "extensions.update.enabled": "false", "browser.safebrowsing.downloads.remote.enabled": "false",
    "browser.safebrowsing.malware.enabled": "false", "browser.safebrowsing.phishing.enabled": "false",
    "network.captive-portal-service.enabled": "false", "network.connectivity-service.enabled": "false",
    "services.settings.server": '"data:,"', "browser.shell.checkDefaultBrowser": "false",
    "browser.aboutwelcome.enabled": "false", "toolkit.startup.max_resumed_crashes": -1,
}


def firefox_profile(world):
    """A profile with a database of certificates, where `larder ca install` finds it."""
    profile = pathlib.Path(world.env["HOME"]) / ".mozilla/firefox/larder.default"
    profile.mkdir(parents=True, exist_ok=True)
    port = world.proxy.rpartition(":")[2]
    settings = FIREFOX_SETTINGS | {"network.proxy.http_port": port, "network.proxy.ssl_port": port}
    lines = (f'user_pref("{name}", {value});\n' for name, value in settings.items())
    (profile / "user.js").write_text("".join(lines))
    (profile.parent / "profiles.ini").write_text(
        "[General]\nStartWithLastProfile=1\n\n[Profile0]\nName=larder\nIsRelative=1\nPath=larder.default\nDefault=1\n")
    return profile


def firefox(world, folder):
    """A picture of the page, from a copy of the profile that has no cache yet."""
    shutil.copytree(world.firefox_profile, folder, dirs_exist_ok=True)
    picture = folder / "page.png"
    command = [world.tools["firefox"], "--headless", "--no-remote", "--profile", str(folder), "--screenshot", str(picture),
               f"{world.origin.url}/firefox/page.html"]
    code, out, err = run_bounded(command, world.env, BROWSER_S_MAX)
    expect(picture.exists() and picture.stat().st_size > 1000, f"exit code {code}, no picture: {(out + err)[-300:]}")


def new_database(world, folder):
    """An empty NSS database."""
    folder.mkdir(parents=True, exist_ok=True)
    code, _, err = run_bounded([world.tools["certutil"], "-N", "-d", f"sql:{folder}", "--empty-password"], world.env, 30)
    expect(code == 0, f"certutil: {err}")
