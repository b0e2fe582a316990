// The suite's own client, in a process of its own: the suite keeps its results in module state, so a second
// run of some tests needs a fresh process.
//
// Reads one job as a message, answers with { results, sent, strayed }.

import diagnostics from 'node:diagnostics_channel'
import fs from 'node:fs'
import { createRequire, register } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { ForwardAgent, TunnelAgent } from './agents.mjs'
import { isRepository, loadTests, part } from './suite.mjs'

// Longer than any answer may take, far shorter than a human's patience with a hung proxy.
const TIMEOUT_MS = 20_000

process.once('message', async job => {
  const answer = await runJob(job)
  process.send(answer, () => process.exit(0))
})
process.on('disconnect', () => process.exit(0))

async function runJob ({ suite, library, base, proxy, ca, ids, dump }) {
  if (isRepository(suite)) standInForUndici()
  const { runTests, getResults } = await import(pathToFileURL(part(suite, 'client')))
  const fetch = createRequire(path.join(library, 'package.json'))('node-fetch')
  const authority = ca && fs.readFileSync(ca)
  const strayed = watchConnections(proxy)
  let sent = 0

  // The suite runs with node-fetch, as for the results that it ships: it has no cache, sends repeated
  // request fields as separate lines, and opens one connection per request.
  const fetchThroughProxy = (url, init) => {
    sent += 1
    const agent = agentFor(base, proxy, authority, init?.dispatcher?.listener)
    return fetch(url, { ...init, agent, timeout: TIMEOUT_MS })
  }

  const groups = select(await loadTests(suite), ids, dump)
  if (isRepository(suite)) {
    // This form of the suite calls what the runtime calls fetch.
    globalThis.fetch = fetchThroughProxy
    await runTests(groups, false, base)
  } else {
    await runTests(groups, fetchThroughProxy, false, base)
  }
  return { results: getResults(), sent, strayed }
}

function agentFor (base, proxy, authority, listener) {
  if (!proxy) return undefined
  const agent = base.startsWith('https:') ? new TunnelAgent(proxy, authority) : new ForwardAgent(proxy)
  agent.interimListener = listener
  return agent
}

/** The suite's repository has undici collect interim responses; here the agent hands them on. */
function standInForUndici () {
  const standIn = JSON.stringify(new URL('undici.mjs', import.meta.url).href)
  const hook = `export const resolve = (name, context, next) =>
    name === 'undici' ? { url: ${standIn}, shortCircuit: true } : next(name, context)`
  register(`data:text/javascript,${encodeURIComponent(hook)}`)
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
