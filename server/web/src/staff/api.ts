/** The part of the server's HTTP API that officers, city hall and the board use. Times are UTC milliseconds, wall time. */
import { stepUp } from '../account'
import type { Account, Named, Role as AnyRole } from '../api'
import { call, get, type Reason, send } from '../http'

export type Role = AnyRole
export type Purpose = 'crime' | 'missing_person' | 'traffic_accident' | 'disaster' | 'subject_disclosure'
export type Basis = 'inquiry' | 'warrant' | 'consent' | 'article_69' | 'article_76' | 'ordinance'
export type PaperKind = 'inquiry' | 'request' | 'warrant' | 'report' | 'consent' | 'disclosure'
export type State =
  | 'draft' | 'submitted' | 'prepared' | 'checked' | 'approved' | 'ready' | 'released'
  | 'returned' | 'closed' | 'refused' | 'withdrawn' | 'lapsed' | 'revoked'
export type Step =
  | 'submit' | 'prepare' | 'check' | 'approve' | 'refuse' | 'withdraw' | 'emergency' | 'ratify' | 'exported'
  | 'undertake' | 'extend' | 'return' | 'feedback' | 'found' | 'lapse' | 'revoke' | 'close'
export type DeadlineKind = 'freeze' | 'ratify' | 'release' | 'return' | 'copy' | 'feedback'
export type Mode = 'view' | 'download'
export type Answer = 'used' | 'not_used' | 'not_relevant'

export type Agency = Named & { id: string }
export type StaffMe = {
  account: Account
  city: Named & { id: string; tz: string }
  recipient: string | null
}
export type Camera = {
  id: string
  label_ja: string
  label_en: string
  lat_deg: number | null
  lon_deg: number | null
  kept_from_ms: number | null
  is_recording: boolean
  purposes: Purpose[]
}
export type Limits = {
  max_cameras: number
  max_hours: number
  board_cameras: number
  lead_hours: number
  retention_days: number
  freeze_days: number
  emergency_hours: number
  return_days: number
  copy_days: number
  purposes: Purpose[]
  papers: Partial<Record<Purpose, PaperKind[]>>
}
export type Finding = { code: string; severity: 'ok' | 'warning' | 'error'; ja: string; en: string }
export type Paper = { id: string; kind: PaperKind; name: string; size_bytes: number; sha256: string; findings: Finding[]; added_at_ms: number }
export type Export = { id: string; state: 'expected' | 'arriving' | 'whole' | 'refused' | 'destroyed'; size_bytes: number | null; sha256: string | null }
export type CaseCamera = {
  id: string
  label_ja: string
  label_en: string
  lat_deg: number | null
  lon_deg: number | null
  from_ms: number
  to_ms: number
  kept: 'all' | 'part' | 'gone' | 'frozen' | 'unknown'
  export: Export | null
}
export type Inquiry = { number: string; dated_on: string | null; station: string; officer: string }
export type Taken = { step: Step; from: State; to: State; at_ms: number; role: Role | 'clerk'; name_ja: string; name_en: string; note: string }
export type Deadline = { kind: DeadlineKind; at_ms: number }
export type Certificate = { at_ms: number; method: string; hashes: string[] }
export type Case = {
  id: string
  number: string
  state: State
  agency: Agency
  officer: Named & { id: string }
  purpose: Purpose
  basis: Basis
  is_emergency: boolean
  offence: string
  has_occurred: boolean
  inquiry: Inquiry | null
  warrant_number: string
  report_number: string
  missing_kind: string
  last_confirmed_ms: number | null
  reason: string
  note: string
  cameras: CaseCamera[]
  papers: Paper[]
  steps: Taken[]
  deadlines: Deadline[]
  release: { until_ms: number; mode: Mode; opened: { at_ms: number; mode: Mode }[] } | null
  undertaking: { signed_at_ms: number; return_by_ms: number } | null
  certificate: Certificate | null
  copy_certificate: Certificate | null
  feedback: Answer | null
  is_overdue: boolean
  is_found: boolean
  may: Step[]
  problems: Reason[]
}
export type CaseRow = {
  id: string
  number: string
  state: State
  purpose: Purpose
  agency: Agency
  is_emergency: boolean
  is_overdue: boolean
  cameras: number
  submitted_at_ms: number | null
  next_deadline_ms: number | null
  may: Step[]
}
export type Window = { id: string; from_ms: number; to_ms: number }
export type CaseFields = {
  purpose: Purpose
  basis: Basis
  is_emergency: boolean
  offence: string
  has_occurred: boolean
  inquiry: Inquiry | null
  warrant_number: string
  report_number: string
  missing_kind: string
  last_confirmed_ms: number | null
  reason: string
  note: string
  cameras: Window[]
}
export type StepBody = {
  step: Step
  note?: string
  reason?: string
  mode?: Mode
  return_by_ms?: number
  until_ms?: number
  hashes?: string[]
  method?: string
  feedback?: Answer
}

const one = (id: string) => `/cases/${encodeURIComponent(id)}`

async function returned<T>(answer: Promise<Response>): Promise<T> {
  return (await (await answer).json()) as T
}

export const me = () => get<StaffMe>('/me')
export const cameras = () => get<{ cameras: Camera[]; limits: Limits }>('/cameras')
export const readCase = (id: string) => get<Case>(one(id))
export const draft = (fields: CaseFields) => returned<Case>(call('POST', '/cases', fields))
export const redraft = (id: string, fields: CaseFields) => returned<Case>(call('PUT', one(id), fields))
export const take = (id: string, body: StepBody) => stepUp(() => returned<Case>(call('POST', `${one(id)}/steps`, body)))
/** Tell the city to what address footage is to be sealed; a passkey is shown first. */
export const setRecipient = (recipient: string) => stepUp(() => call('PUT', '/me/recipient', { recipient }))
export const paperUrl = (id: string, paper: string) => `/api/v1${one(id)}/papers/${encodeURIComponent(paper)}`

export function cases(filter: { state?: string; before?: string }): Promise<{ cases: CaseRow[]; next: string }> {
  const query = new URLSearchParams({ limit: '50' })
  if (filter.state) query.set('state', filter.state)
  if (filter.before) query.set('before', filter.before)
  return get(`/cases?${query}`)
}

export function addPaper(id: string, kind: PaperKind, file: File): Promise<Paper> {
  const headers = { 'Content-Type': file.type, 'X-File-Name': encodeURIComponent(file.name) }
  return returned<Paper>(send(`${one(id)}/papers/${kind}`, { method: 'PUT', headers, body: file }))
}

/** Return the sealed file of one camera. The server logs the opening before it sends the first octet. */
export const sealedExport = (id: string, exportId: string, mode: Mode) =>
  send(`${one(id)}/exports/${encodeURIComponent(exportId)}?mode=${mode}`)
