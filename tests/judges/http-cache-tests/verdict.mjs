// Counts and judges results. What a result means is decided by the suite's own code, with its rules on
// dependencies; nothing here knows a test by name.

import { pathToFileURL } from 'node:url'
import { part } from './suite.mjs'

// The suite tells outcomes apart by a symbol alone, so the symbols are the interface.
const OUTCOMES = {
  '✅': 'pass',
  '⛔️': 'fail',
  '⚠️': 'optional fail',
  Y: 'yes',
  N: 'no',
  '🔹': 'setup failure',
  '⁉️': 'harness failure',
  '⚪️': 'dependency failure',
  '↻': 'retry',
  '-': 'untested'
}

/** One row per test that applies to a proxy: { id, kind, surrogate, outcome, message }, in the suite's order. */
export async function judge (suite, groups, results) {
  const { determineTestResult } = await import(pathToFileURL(part(suite, 'results')))
  const rows = []
  for (const group of groups) {
    for (const test of group.tests) {
      if (test.browser_only) continue
      const outcome = outcomeOf(determineTestResult(groups, test.id, results))
      rows.push({
        id: test.id,
        kind: test.kind ?? 'required',
        surrogate: /surrogate|cdn/i.test(`${group.id} ${test.id}`),
        outcome,
        message: messageOf(test, outcome, results[test.id])
      })
    }
  }
  return rows
}

/** What the suite says of one test alone, its dependencies left aside. */
export async function judgeOne (suite, groups, results, id) {
  const { determineTestResult } = await import(pathToFileURL(part(suite, 'results')))
  return { outcome: outcomeOf(determineTestResult(groups, id, results, false)), message: results[id]?.[1] ?? '' }
}

/**
 * Tests that ended before they could answer: the suite's setup failures, and client errors, which the suite
 * itself counts as plain failures (a refused connection reads as "fail" or "no").
 */
export function unanswered (results) {
  return Object.keys(results).filter(id => results[id] !== true && results[id][0] !== 'Assertion')
}

export function count (rows) {
  const of = (kind, ...outcomes) => rows.filter(row => row.kind === kind && outcomes.includes(row.outcome)).length
  const total = kind => rows.filter(row => row.kind === kind).length
  const unclear = total('check') - of('check', 'yes', 'no')
  return {
    required: { passed: of('required', 'pass'), total: total('required') },
    optional: { passed: of('optimal', 'pass'), total: total('optimal') },
    check: { yes: of('check', 'yes'), no: of('check', 'no'), unclear, total: total('check') }
  }
}

/** All reasons why this run is not acceptable, as sentences. */
export function objections (rows, { known, minRequired, baseline }) {
  const found = []
  const byId = new Map(rows.map(row => [row.id, row]))
  for (const row of rows) {
    if (row.kind === 'required' && row.outcome !== 'pass' && !(row.id in known)) {
      found.push(`required test ${row.id}: ${row.outcome}, and not a known difference`)
    }
  }
  for (const id of Object.keys(known)) {
    const row = byId.get(id)
    if (row?.kind !== 'required') found.push(`known difference ${id} is not a required test of the suite`)
    else if (row.outcome === 'pass') found.push(`known difference ${id} passes now: take it off the list`)
  }
  for (const id of baseline) {
    const row = byId.get(id)
    if (row?.kind !== 'optimal') found.push(`the baseline's ${id} is not an optional test of the suite`)
    else if (row.outcome !== 'pass') found.push(`optional test ${id} passed before: ${row.outcome}, ${row.message}`)
  }
  const { passed } = count(rows.filter(row => !row.surrogate)).required
  if (passed < minRequired) found.push(`${passed} non-surrogate required tests pass, fewer than ${minRequired}`)
  return found
}

/** Tests that came out otherwise than in another run of the same suite, as sentences. */
export function differences (rows, others) {
  const before = new Map(others.map(row => [row.id, row.outcome]))
  return rows
    .filter(row => row.outcome !== before.get(row.id))
    .map(row => `${row.id}: ${before.get(row.id)} there, ${row.outcome} here${row.message && `: ${row.message}`}`)
}

function outcomeOf (resultType) {
  const outcome = OUTCOMES[resultType[2]]
  if (!outcome) throw new Error(`the suite answered with an unknown outcome: ${resultType}`)
  return outcome
}

function messageOf (test, outcome, result) {
  if (outcome === 'dependency failure') return `depends on ${test.depends_on.join(', ')}`
  if (!Array.isArray(result)) return ''
  // An error's name is worth showing only when it is neither of the suite's own two.
  return ['Setup', 'Assertion'].includes(result[0]) ? result[1] : result.join(': ')
}
