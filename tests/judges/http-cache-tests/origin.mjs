// The suite's own origin server, in a process of its own, plus a tally of who asked.
//
// A proxy must add Via to what it forwards (RFC 9110, section 7.6.3), so a request without it has come
// around the proxy, and a result built on it would be worthless.

import diagnostics from 'node:diagnostics_channel'
import { pathToFileURL } from 'node:url'

const tally = { requests: 0, withoutVia: [] }

diagnostics.subscribe('http.server.request.start', ({ request }) => {
  tally.requests += 1
  if (!request.headers.via) tally.withoutVia.push(`${request.method} ${request.url}`)
})

process.on('message', () => process.send(tally))
process.on('disconnect', () => process.exit(0))

// The suite takes its settings (protocol, port, pidfile) from the environment and listens on import.
await import(pathToFileURL(process.argv[2]))
