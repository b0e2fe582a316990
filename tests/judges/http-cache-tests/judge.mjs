// The whole run as one story: read the arguments, fetch the suite, start its origin, run its client through
// the proxy, count, report, judge. Exit code 0: acceptable, 1: not, 2: the run itself did not work out, 75: a
// package could not be installed.

import { fork } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { printComparison, printReport } from './report.mjs'
import { NOT_INSTALLED, VERSION, install, isRepository, loadTests, part } from './suite.mjs'
import { differences, judge, judgeOne, objections, unanswered } from './verdict.mjs'

const USAGE = `usage: run --proxy HOST:PORT [options]    judge a running forward proxy
       run --direct [options]             no proxy: shows what the suite sees without a cache
       run --count FILE                   only count a results file, or the name of one that the suite ships

  --json FILE               write the results in the suite's own format
  --compare FILE|NAME       list the differences to other results, or to ones that the suite ships (squid, nginx, ...)
  --known FILE              required tests that may fail: { "id": "reason" }; default: known-differences.json beside this
  --min-required N          fail if fewer non-surrogate required tests pass
  --optional-baseline FILE  fail if an optional test of this list ["id", ...] does not pass
  --same-as FILE            fail if a test comes out otherwise than in these results of another run
  --write-baseline FILE     write the list of optional tests that pass
  --suite FOLDER            judge by a checkout of the suite's repository, in place of the published form
  --id TEST                 run one test alone and show its requests and responses
  --https --origin-cert FILE --origin-key FILE --ca FILE
                            judge interception: the origin speaks TLS, FILE after --ca is the proxy's authority`

// Far more than a healthy run needs (about 30 s); a hung client must not hang its caller.
const RUN_TIMEOUT_MS = 240_000

const children = new Set()

class RunFailure extends Error {}

main().then(
  code => process.exit(code),
  error => {
    if (error.status === NOT_INSTALLED) process.exit(NOT_INSTALLED)
    console.error(error instanceof RunFailure ? `run: ${error.message}` : error)
    process.exit(2)
  }
)

async function main () {
  process.on('exit', endChildren)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(2))

  const options = readOptions()
  const library = install()
  const suite = options.suite ? path.resolve(options.suite) : library
  if (options.suite && !isRepository(suite)) throw new RunFailure(`${suite} is no checkout of the suite's repository`)
  const groups = await loadTests(suite)
  if (options.count) {
    printReport(`${named(options)}, counted from ${options.count}`,
      await judge(suite, groups, readResults(suite, options.count)))
    return 0
  }
  const known = readJson(options.known)
  const baseline = options.baseline ? readJson(options.baseline) : []
  if (options.proxy) await mustAccept(options.proxy)

  const started = Date.now()
  const there = options.sameAs ? await judge(suite, groups, readJson(options.sameAs)) : null
  const origin = await startOrigin(suite, options)
  if (options.id) return await runOne(suite, library, groups, origin, options)
  const run = await runAll(suite, library, origin, options)
  const bypassed = await bypasses(run, origin, options)
  const seconds = ((Date.now() - started) / 1000).toFixed(1)

  const rows = await judge(suite, groups, run.results)
  printReport(`${named(options)}, ${describe(options)}, ${seconds} s`, rows)
  printRepeats(run.repeats)
  if (options.compare) {
    printComparison(options.compare, await judge(suite, groups, readResults(suite, options.compare)), rows)
  }
  if (options.json) writeJson(options.json, run.results)
  if (options.writeBaseline) {
    writeJson(options.writeBaseline,
      rows.filter(row => row.kind === 'optimal' && row.outcome === 'pass').map(row => row.id))
  }

  const otherwise = there ? differences(rows, there) : []
  if (there) console.log(`\ncompared with ${options.sameAs}: ${otherwise.length} of ${rows.length} differ`)
  const all = [
    ...bypassed,
    ...objections(rows, { known, minRequired: options.minRequired, baseline }),
    ...otherwise
  ]
  console.log(all.length ? `\nNOT ACCEPTED (${all.length}):` : '\naccepted')
  for (const objection of all) console.log(`  ${objection}`)
  return all.length ? 1 : 0
}

function readOptions () {
  let values
  const text = { type: 'string' }
  const flag = { type: 'boolean', default: false }
  try {
    values = parseArgs({
      options: {
        proxy: text,
        direct: flag,
        count: text,
        json: text,
        compare: text,
        known: text,
        'min-required': text,
        'optional-baseline': text,
        'write-baseline': text,
        'same-as': text,
        suite: text,
        id: text,
        https: flag,
        'origin-cert': text,
        'origin-key': text,
        ca: text,
        help: flag
      }
    }).values
  } catch (error) {
    throw new RunFailure(`${error.message}\n${USAGE}`)
  }
  if (values.help) {
    console.log(USAGE)
    process.exit(0)
  }
  if ([values.proxy, values.direct, values.count].filter(Boolean).length !== 1) throw new RunFailure(`\n${USAGE}`)
  if (values.https && !(values['origin-cert'] && values['origin-key'] && values.ca)) {
    throw new RunFailure('--https needs --origin-cert, --origin-key and --ca')
  }
  const minRequired = Number(values['min-required'] ?? 0)
  if (!Number.isInteger(minRequired)) throw new RunFailure('--min-required wants a number')
  return {
    ...values,
    proxy: values.proxy && parseProxy(values.proxy),
    known: values.known ?? fileURLToPath(new URL('known-differences.json', import.meta.url)),
    minRequired,
    baseline: values['optional-baseline'],
    writeBaseline: values['write-baseline'],
    sameAs: values['same-as']
  }
}

function parseProxy (text) {
  const match = /^(?:http:\/\/)?(\d+\.\d+\.\d+\.\d+|localhost):(\d+)\/?$/.exec(text)
  if (!match) throw new RunFailure(`--proxy wants an IPv4 address and a port, not ${text}`)
  return { host: match[1] === 'localhost' ? '127.0.0.1' : match[1], port: Number(match[2]) }
}

function named ({ suite }) {
  return suite ? 'http-cache-tests, as in its repository' : `http-cache-tests ${VERSION}`
}

function describe ({ proxy, https }) {
  if (!proxy) return 'without a proxy'
  return `through ${proxy.host}:${proxy.port} (${https ? 'intercepted https' : 'absolute-form http'})`
}

function mustAccept (proxy) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(proxy, () => resolve(socket.destroy()))
    socket.once('error', error => reject(new RunFailure(`no proxy to judge: ${error.message}`)))
  })
}

function startOrigin (suite, options) {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'larder-judge-'))
  process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }))
  const env = {
    ...process.env,
    npm_config_protocol: options.https ? 'https' : 'http',
    npm_config_port: '0',
    npm_config_pidfile: path.join(scratch, 'origin.pid')
  }
  if (options.https) {
    env.npm_config_certfile = path.resolve(options['origin-cert'])
    env.npm_config_keyfile = path.resolve(options['origin-key'])
  }
  const child = start('origin.mjs', [part(suite, 'origin')], { cwd: suite, env, silent: true })
  // What the origin prints is worth reading only beside a single test.
  if (options.id) child.stdout.pipe(process.stdout)
  child.stderr.pipe(process.stderr)
  return new Promise((resolve, reject) => {
    let printed = ''
    child.stdout.on('data', chunk => {
      printed += printed.includes('\n') ? '' : chunk
      const port = /^Listening on \S+:(\d+)\/$/m.exec(printed)?.[1]
      if (port) resolve({ child, base: `${env.npm_config_protocol}://127.0.0.1:${port}` })
    })
    child.once('exit', code => reject(new RunFailure(`the suite's origin ended with ${code}`)))
  })
}

async function runAll (suite, library, origin, options) {
  const job = { suite, library, base: origin.base, proxy: options.proxy, ca: options.ca }
  const first = await runClient(job)
  const ids = unanswered(first.results)
  if (ids.length === 0) return { ...first, repeats: [] }

  const second = await runClient({ ...job, ids })
  return {
    results: { ...first.results, ...second.results },
    sent: first.sent + second.sent,
    strayed: [...first.strayed, ...second.strayed],
    repeats: ids.map(id => ({ id, before: first.results[id], after: second.results[id] }))
  }
}

async function runOne (suite, library, groups, origin, options) {
  if (!groups.some(group => group.tests.some(test => test.id === options.id))) {
    throw new RunFailure(`the suite has no test ${options.id}`)
  }
  const run = await runClient({
    suite, library, base: origin.base, proxy: options.proxy, ca: options.ca, ids: [options.id], dump: true
  })
  const { outcome, message } = await judgeOne(suite, groups, run.results, options.id)
  const bypassed = await bypasses(run, origin, options)
  console.log(`\n${options.id}: ${outcome}${message && `: ${message}`}`)
  for (const objection of bypassed) console.log(objection)
  return ['pass', 'yes'].includes(outcome) && bypassed.length === 0 ? 0 : 1
}

function runClient (job) {
  const child = start('client.mjs', [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new RunFailure('the suite did not finish in time')), RUN_TIMEOUT_MS)
    child.once('message', answer => {
      clearTimeout(timer)
      resolve(answer)
    })
    child.once('exit', code => reject(new RunFailure(`the suite's client ended with ${code}`)))
    child.send(job)
  })
}

/** A request that came around the proxy voids the run: what it shows is not the proxy's doing. */
async function bypasses (run, origin, options) {
  if (options.direct) return []
  const tally = await new Promise(resolve => {
    origin.child.once('message', resolve)
    origin.child.send('tally')
  })
  console.log(`requests: ${run.sent} sent to the proxy, ${tally.requests} seen by the origin`)
  const found = []
  if (run.strayed.length) found.push(`the client connected around the proxy: ${run.strayed.slice(0, 3).join(', ')}`)
  if (tally.withoutVia.length) {
    const some = tally.withoutVia.slice(0, 3).join(', ')
    found.push(`${tally.withoutVia.length} requests reached the origin without Via: ${some}`)
  }
  return found
}

function printRepeats (repeats) {
  if (repeats.length === 0) return
  // Messages carry the test's random path and the origin's port, which differ between any two runs.
  const random = /http\S*\/test\/[0-9a-f-]{36}|[0-9a-f]{8}-[0-9a-f-]{27}/g
  const text = result => result === true ? 'success' : result.join(': ').replace(random, '…')
  const changed = repeats.filter(({ before, after }) => text(before) !== text(after))
  console.log(`\n${repeats.length} tests ended in a setup or harness failure and were run once more; ` +
    `${changed.length} came out otherwise`)
  for (const { id, before, after } of changed) {
    console.log(`  ${id}\n    first: ${text(before)}\n    then:  ${text(after)}`)
  }
}

function readResults (suite, name) {
  const shipped = path.join(suite, 'results', `${name}.json`)
  return readJson(fs.existsSync(shipped) && !name.includes('/') ? shipped : name)
}

function readJson (file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch (error) {
    throw new RunFailure(`${file}: ${error.message}`)
  }
}

function writeJson (file, value) {
  fs.writeFileSync(file, JSON.stringify(value, null, 2) + '\n')
}

function start (script, args, options) {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)), args, options)
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

function endChildren () {
  for (const child of children) child.kill('SIGKILL')
}
