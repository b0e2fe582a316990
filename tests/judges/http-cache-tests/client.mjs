// The suite's own client, in a process of its own: the suite keeps its results in module state, so a second
// run of some tests needs a fresh process.
//
// Reads one job as a message, answers with { results, sent, strayed }.

import diagnostics from 'node:diagnostics_channel'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { ForwardAgent, TunnelAgent } from './agents.mjs'
import { loadTests } from './suite.mjs'

// Longer than any answer may take, far shorter than a human's patience with a hung proxy.
const TIMEOUT_MS = 20_000

process.once('message', async job => {
  const answer = await runJob(job)
  process.send(answer, () => process.exit(0))
})
process.on('disconnect', () => process.exit(0))

async function runJob ({ suite, base, proxy, ca, ids, dump }) {
  const { runTests, getResults } = await import(pathToFileURL(path.join(suite, 'client/runner.mjs')))
  const fetch = createRequire(path.join(suite, 'package.json'))('node-fetch')
  const agent = agentFor(base, proxy, ca)
  const strayed = watchConnections(proxy)
  let sent = 0

  // The suite runs with node-fetch, as for the results that it ships: it has no cache, sends repeated
  // request fields as separate lines, and opens one connection per request.
  const fetchThroughProxy = (url, init) => {
    sent += 1
    return fetch(url, { ...init, agent, timeout: TIMEOUT_MS })
  }

  const groups = await loadTests(suite)
  await runTests(select(groups, ids, dump), fetchThroughProxy, false, base)
  return { results: getResults(), sent, strayed }
}

function agentFor (base, proxy, ca) {
  if (!proxy) return undefined
  return base.startsWith('https:') ? new TunnelAgent(proxy, ca && fs.readFileSync(ca)) : new ForwardAgent(proxy)
}

function select (groups, ids, dump) {
  if (!ids) return groups
  const wanted = new Set(ids)
  return groups.map(group => ({
    ...group,
    tests: group.tests.filter(test => wanted.has(test.id)).map(test => ({ ...test, dump }))
  }))
}

/** The addresses of connections that go anywhere else than to the proxy: none, or the run is void. */
function watchConnections (proxy) {
  const strayed = []
  if (!proxy) return strayed
  diagnostics.subscribe('net.client.socket', ({ socket }) => {
    socket.once('connect', () => {
      if (socket.remoteAddress !== proxy.host || socket.remotePort !== proxy.port) {
        strayed.push(`${socket.remoteAddress}:${socket.remotePort}`)
      }
    })
  })
  return strayed
}
