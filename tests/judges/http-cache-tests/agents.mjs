// How the suite's client is brought to use a forward proxy without a change to the suite: the agent, which
// opens the connection for each request, is the one place where client and destination meet.

import http from 'node:http'
import https from 'node:https'
import tls from 'node:tls'

/** Sends `GET http://origin:port/path` to the proxy; Host keeps naming the origin. */
export class ForwardAgent extends http.Agent {
  constructor (proxy) {
    super()
    this.proxy = proxy
  }

  addRequest (request, options) {
    // The request line is not yet written here, and Host has already been set from the target URI.
    tellInterim(request, this.interimListener)
    request.path = `http://${options.host}:${options.port}${request.path}`
    super.addRequest(request, { ...options, ...this.proxy })
  }
}

/** Opens a tunnel with CONNECT, then speaks TLS to whoever answers: an intercepting proxy, if all is well. */
export class TunnelAgent extends https.Agent {
  constructor (proxy, ca) {
    super({ ca })
    this.proxy = proxy
    this.tunnelFailure = null
  }

  addRequest (request, options) {
    tellInterim(request, this.interimListener)
    super.addRequest(request, options)
  }

  createConnection (options, done) {
    const authority = `${options.host}:${options.port}`
    const connect = http.request({ ...this.proxy, method: 'CONNECT', path: authority, headers: { Host: authority } })
    connect.once('error', done)
    connect.once('response', response => done(new Error(`CONNECT was answered with ${response.statusCode}`)))
    connect.once('connect', (response, socket) => {
      if (response.statusCode !== 200) return done(new Error(`CONNECT was answered with ${response.statusCode}`))
      done(null, tls.connect({ ca: options.ca, servername: options.servername, host: options.host, socket }))
    })
    connect.end()
  }
}

/** Tells whoever listens of the interim responses to a request. */
function tellInterim (request, listener) {
  if (listener) request.on('information', ({ statusCode, headers }) => listener(statusCode, headers))
}
