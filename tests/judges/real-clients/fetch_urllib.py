"""A client of its own process: Python's urllib through a proxy. Prints status, fields and digest as JSON.

Usage: fetch_urllib.py PROXY URL [CA-FILE]
"""

import hashlib
import json
import ssl
import sys
import urllib.error
import urllib.request


def main(proxy, url, ca_file=None):
    handlers = [urllib.request.ProxyHandler({"http": proxy, "https": proxy})]
    if ca_file:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)))
    try:
        response = urllib.request.build_opener(*handlers).open(url, timeout=60)
    except urllib.error.HTTPError as error:
        response = error
    digest, length = hashlib.sha256(), 0
    while block := response.read(1 << 16):
        digest.update(block)
        length += len(block)
    json.dump({"status": response.status, "headers": response.headers.items(),
               "sha256": digest.hexdigest(), "length": length}, sys.stdout)


main(*sys.argv[1:])
