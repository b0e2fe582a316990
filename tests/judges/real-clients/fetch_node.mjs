// A client of its own process: Node through a proxy. Prints status, fields and digest as JSON.
//
// Usage: fetch_node.mjs absolute|connect|fetch PROXY URL [CA-FILE]
//   absolute  http.request with the absolute form, as proxy-aware libraries do for http://
//   connect   CONNECT by hand, then TLS inside, as they do for https://
//   fetch     the built-in fetch, which reads the proxy from the environment (recent versions only)

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import tls from "node:tls";

const [way, proxy, url, caFile] = process.argv.slice(2);
const via = new URL(proxy);
const target = new URL(url);

async function report(status, headers, body) {
    const digest = createHash("sha256");
    let length = 0;
    for await (const block of body) {
        digest.update(block);
        length += block.length;
    }
    console.log(JSON.stringify({ status, headers, sha256: digest.digest("hex"), length }));
}

function pairs(raw) {
    return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i], raw[2 * i + 1]]);
}

function answered(request) {
    return new Promise((resolve, reject) => {
        request.on("response", response =>
            resolve(report(response.statusCode, pairs(response.rawHeaders), response)));
        request.on("error", reject);
        request.end();
    });
}

function absolute() {
    return answered(http.request({
        host: via.hostname, port: via.port, path: url, headers: { host: target.host }, agent: false,
    }));
}

function tunnel() {
    return new Promise((resolve, reject) => {
        const request = http.request({
            host: via.hostname, port: via.port, method: "CONNECT", path: target.host,
            headers: { host: target.host }, agent: false,
        });
        request.on("connect", (response, socket) => response.statusCode === 200
            ? resolve(socket)
            : reject(new Error(`CONNECT was answered with ${response.statusCode}`)));
        request.on("error", reject);
        request.end();
    });
}

async function connect() {
    const socket = await tunnel();
    const secured = tls.connect({ socket, host: target.hostname, ca: readFileSync(caFile) });
    // No `agent` here: even `agent: false` makes one, which would open a connection of its own past the proxy.
    await answered(https.request(url, { createConnection: () => secured }));
    secured.destroy();
}

async function builtIn() {
    const response = await fetch(url);
    await report(response.status, Array.from(response.headers), response.body);
}

await { absolute, connect, fetch: builtIn }[way]();
