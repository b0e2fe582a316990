// Fetches the suite and the little it needs, at pinned versions, without running any install script.
//
// The suite lists a whole package manager and a template engine among its dependencies; its client needs
// only node-fetch. So each package is packed by name and version, checked against its pinned digest and
// unpacked by hand. The digests below are what makes two runs comparable.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const VERSION = '0.4.5'

const SUITE = {
  spec: `http-cache-tests@${VERSION}`,
  integrity: 'sha512-DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A=='
}

const LIBRARIES = [
  {
    spec: 'node-fetch@2.7.0',
    integrity: 'sha512-c4FRfUm/dbcWZ7U+1Wq0AwCyFL+3nt2bEw05wfxSz+DWpWsitgmSgYmy2dQdWyKC1694ELPqMs/YzUSNozLt8A=='
  },
  {
    spec: 'whatwg-url@5.0.0',
    integrity: 'sha512-saE57nupxk6v3HY35+jzBwYa0rKSy0XR8JSxZPwgLr7ys0IBzhGviA1/TUGJLmSVqs8pb9AnvICXEuOHLprYTw=='
  },
  {
    spec: 'tr46@0.0.3',
    integrity: 'sha512-N3WMsuqV66lT30CrXNbEjx4GEwlow3v6rr4mCcv6prnfwhS01rkgyFdjPNBYd9br7LpXV1+Emh01fHnq2Gdgrw=='
  },
  {
    spec: 'webidl-conversions@3.0.1',
    integrity: 'sha512-2JAn3z8AR6rjK8Sm8orRC0h/bcl/DqL7tRPdGZ4I1CjdF+EaMLmYxBHyXuKL849eucPFhvBoxMsflfOb8kxaeQ=='
  }
]

// Where the two forms of the suite keep their parts: the one that npm has, and a checkout of its repository.
const PUBLISHED = {
  client: 'client/runner.mjs',
  origin: 'server/server.mjs',
  results: 'lib/display.mjs',
  tests: ['tests/index.mjs', 'tests/surrogate-control.mjs']
}
const REPOSITORY = {
  client: 'test-engine/client/runner.mjs',
  origin: 'test-engine/server/server.mjs',
  results: 'test-engine/lib/results.mjs',
  tests: ['tests/index.mjs']
}

const INSTALLER = fileURLToPath(new URL('../install', import.meta.url))
export const NOT_INSTALLED = 75
const REPOSITORY_ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** Returns the folder of the unpacked suite, fetching it on the first call. */
export function install () {
  const judges = path.join(process.env.CARGO_TARGET_DIR || path.join(REPOSITORY_ROOT, 'target'), 'judges')
  const home = path.join(judges, `http-cache-tests-${VERSION}`)
  if (!fs.existsSync(home)) {
    fs.mkdirSync(judges, { recursive: true })
    const unfinished = fs.mkdtempSync(path.join(judges, 'unfinished-'))
    try {
      unpack(SUITE, path.join(unfinished, 'suite'), unfinished)
      for (const library of LIBRARIES) {
        unpack(library, path.join(unfinished, 'node_modules', library.spec.split('@')[0]), unfinished)
      }
      // One rename makes the folder appear whole or not at all, even when two runs start together.
      if (!fs.existsSync(home)) fs.renameSync(unfinished, home)
    } finally {
      fs.rmSync(unfinished, { recursive: true, force: true })
    }
  }
  return path.join(home, 'suite')
}

/** Whether this folder is a checkout of the suite's repository. */
export function isRepository (suite) {
  return fs.existsSync(path.join(suite, REPOSITORY.client))
}

/** The suite's file with this part: its client, its origin, what its results mean. */
export function part (suite, name) {
  return path.join(suite, formOf(suite)[name])
}

/** All tests, in the order in which the suite's own command line runs them. */
export async function loadTests (suite) {
  const groups = []
  for (const file of formOf(suite).tests) {
    groups.push((await import(pathToFileURL(path.join(suite, file)))).default)
  }
  return groups.flat()
}

function formOf (suite) {
  return isRepository(suite) ? REPOSITORY : PUBLISHED
}

function unpack ({ spec, integrity }, folder, workFolder) {
  // The installer tries again; where it gives up, its exit code is that of the whole judge.
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }
  const tarball = path.join(workFolder, execFileSync(INSTALLER, ['npm-pack', workFolder, spec], options).trim())
  const found = 'sha512-' + createHash('sha512').update(fs.readFileSync(tarball)).digest('base64')
  if (found !== integrity) throw new Error(`${spec} is not what was pinned: its digest is ${found}`)
  fs.mkdirSync(folder, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1'])
  fs.rmSync(tarball)
}
