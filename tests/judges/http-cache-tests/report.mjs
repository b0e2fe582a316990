// What a run prints: a table of counts, then every test that did not pass, with the suite's own words.

import { count } from './verdict.mjs'

export function printReport (title, rows) {
  console.log(`\n${title}\n`)
  console.log(`  ${'tests'.padEnd(15)}${'required'.padEnd(12)}${'optional'.padEnd(12)}checks (yes/no/unclear)`)
  printCounts('non-surrogate', rows.filter(row => !row.surrogate))
  printCounts('surrogate', rows.filter(row => row.surrogate))
  printCounts('all', rows)

  printList('required tests that did not pass', rows.filter(row => row.kind === 'required' && row.outcome !== 'pass'))
  printList('optional tests that did not pass', rows.filter(row => row.kind === 'optimal' && row.outcome !== 'pass'))
  // A check has no right answer, so its answers are listed plainly and only the missing ones with a reason.
  const checks = rows.filter(row => row.kind === 'check')
  printIds('checks answered with yes', checks.filter(row => row.outcome === 'yes'))
  printIds('checks answered with no', checks.filter(row => row.outcome === 'no'))
  printList('checks without an answer', checks.filter(row => row.outcome !== 'yes' && row.outcome !== 'no'))
}

/** Only where the outcomes differ; messages name this run's side. */
export function printComparison (name, theirs, ours) {
  const theirOutcomes = new Map(theirs.map(row => [row.id, row.outcome]))
  const different = ours.filter(row => theirOutcomes.get(row.id) !== row.outcome)
  console.log(`\ncompared with ${name}: ${different.length} of ${ours.length} differ`)
  printCounts(name, theirs.filter(row => !row.surrogate))
  printCounts('this run', ours.filter(row => !row.surrogate))
  for (const row of different) {
    console.log(`  ${row.id} (${row.kind}): ${theirOutcomes.get(row.id)} -> ${row.outcome}${row.message && `: ${row.message}`}`)
  }
}

function printCounts (label, rows) {
  const { required, optional, check } = count(rows)
  console.log('  ' + `${label} `.padEnd(15) +
    `${required.passed}/${required.total}`.padEnd(12) +
    `${optional.passed}/${optional.total}`.padEnd(12) +
    `${check.yes}/${check.no}/${check.unclear} of ${check.total}`)
}

function printList (label, rows) {
  if (rows.length === 0) return
  console.log(`\n${label} (${rows.length}):`)
  for (const row of rows) console.log(`  ${row.id}: ${row.outcome}${row.message && `: ${row.message}`}`)
}

function printIds (label, rows) {
  if (rows.length === 0) return
  console.log(`\n${label} (${rows.length}):`)
  for (const row of rows) console.log(`  ${row.id}`)
}
