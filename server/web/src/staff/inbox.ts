/** The order and the filters of the list of cases. Pure. */
import type { CaseRow, State, Step } from './api'

export const FILTERS = ['open', 'mine', 'ended', 'all'] as const
export type Filter = (typeof FILTERS)[number]

const ENDED: readonly State[] = ['closed', 'refused', 'withdrawn', 'lapsed']

/** What one may do at any time is nobody's turn. */
const ANY_TIME: readonly Step[] = ['withdraw', 'found', 'extend', 'refuse', 'emergency']

/** Return whether a case waits for whoever is signed in. */
export function waits(row: CaseRow): boolean {
  return row.may.some(step => !ANY_TIME.includes(step) || (step === 'emergency' && row.is_emergency))
}

/** Return whether a case is to be shown. */
export function passes(row: CaseRow, filter: Filter): boolean {
  if (filter === 'all') return true
  if (filter === 'mine') return waits(row)
  return ENDED.includes(row.state) === (filter === 'ended')
}

/** Emergencies first, then what falls due first, then what has no deadline, newest first. */
export function byDeadline(a: CaseRow, b: CaseRow): number {
  if (a.is_emergency !== b.is_emergency) return a.is_emergency ? -1 : 1
  const [due, dueOther] = [a.next_deadline_ms ?? Infinity, b.next_deadline_ms ?? Infinity]
  return due === dueOther ? (b.submitted_at_ms ?? Infinity) - (a.submitted_at_ms ?? Infinity) || b.number.localeCompare(a.number) : due - dueOther
}
