// Node's own HTTP parser over octets that were recorded: a job a line on stdin, an answer a line on stdout.
//
// { id, kind: "requests", octets } or { id, kind: "responses", octets, methods }, the octets in base64. The answer has
// the messages as the parser saw them, and its error, if any. Nothing lenient is switched on.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common')
const HEAD_BYTES_MAX = 1 << 20

function parse ({ kind, octets, methods: asked }) {
  const parser = new HTTPParser()
  const type = kind === 'requests' ? HTTPParser.REQUEST : HTTPParser.RESPONSE
  const messages = []
  let current = null
  let lines = []
  let final = 0
  parser.initialize(type, {}, HEAD_BYTES_MAX, 0)
  // Called for a head in parts, and for trailers.
  let target = ''
  parser[HTTPParser.kOnHeaders] = (some, url) => {
    lines = lines.concat(some)
    if (!current) target += url || ''
  }
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, some, method, url, status, reason, upgrade, keepAlive) => {
    const fields = lines.concat(some || [])
    lines = []
    current = { version: `${major}.${minor}`, fields, body: [], complete: false, keepAlive }
    if (kind === 'requests') {
      // Node's list is shorter than its parser's: a method without a name here is one that it knows.
      current.method = methods[method] ?? null
      current.target = target + (url || '')
      target = ''
      messages.push(current)
      return 0
    }
    current.status = status
    messages.push(current)
    const isInterim = status >= 100 && status < 200 && status !== 101
    const to = asked[final]
    if (!isInterim) final += 1
    if (status === 101) return 2
    return to === 'HEAD' ? 1 : 0
  }
  parser[HTTPParser.kOnBody] = (piece, offset, length) => {
    current.body.push(Buffer.from(length === undefined ? piece : piece.subarray(offset, offset + length)))
  }
  parser[HTTPParser.kOnMessageComplete] = () => {
    current.complete = true
    lines = []
    current = null
  }
  let error = null
  const done = parser.execute(octets)
  if (done instanceof Error) {
    error = `${done.code}: ${done.reason}`
  } else {
    const ended = parser.finish()
    if (ended instanceof Error && ended.code !== 'HPE_INVALID_EOF_STATE') error = `${ended.code}: ${ended.reason}`
    if (done < octets.length && !error) error = `${octets.length - done} octets behind an upgrade`
  }
  for (const message of messages) message.body = Buffer.concat(message.body).toString('base64')
  return { messages, error }
}

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line)
  const { messages, error } = parse({ ...job, octets: Buffer.from(job.octets, 'base64') })
  process.stdout.write(JSON.stringify({ id: job.id, messages, error }) + '\n')
}
