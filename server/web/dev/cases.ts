/** Made-up cases for work on the pages of officers, city hall and the board. Sign in as `officer`, `handler`, `supervisor`, `manager` or `board`, code `demo`. */
import type { Camera, Case, CaseFields, CaseRow, Limits, PaperKind, Role, StaffMe, State, Step } from '../src/staff/api'
import { lonLat, town } from './town.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const { grid } = town()
const AGENCY = { id: 'station', name_ja: 'みまもり警察署', name_en: 'Mimamori Police Station' }
const NAMES: Record<string, [string, string]> = {
  officer: ['生活安全課 捜査担当', 'Community safety, investigator'], handler: ['市民安全課 取扱者', 'Safety division, handler'], supervisor: ['市民安全課 取扱責任者', 'Safety division, supervisor'], manager: ['市民安全課 管理責任者', 'Safety division, manager'], board: ['審査会 委員', 'Board Member'],
}
const limits: Limits = {
  max_cameras: 10, max_hours: 6, board_cameras: 50, lead_hours: 3, retention_days: 14, freeze_days: 7, emergency_hours: 24, return_days: 30, copy_days: 30,
  purposes: ['crime', 'missing_person', 'traffic_accident', 'disaster', 'subject_disclosure'],
  papers: { crime: ['inquiry', 'request'], missing_person: ['report'], traffic_accident: ['inquiry', 'request'], disaster: ['request'], subject_disclosure: ['disclosure'] },
}
const cameras: Camera[] = grid.flatMap((column, i) => column.flatMap((point, j): Camera[] => {
  if ((i + j) % 3) return []
  const [lon_deg, lat_deg] = lonLat(point)
  const isOff = i === 6 && j === 3
  return [{
    id: `cam-${i}${j}`, label_ja: `${i}丁目${j}番 交差点`, label_en: `Crossing ${i}-${j}`, lat_deg, lon_deg, kept_from_ms: Date.now() - (isOff ? 2 : 13) * DAY_MS,
    is_recording: !isOff, purposes: (i + j) % 2 ? limits.purposes : limits.purposes.filter(purpose => purpose !== 'disaster'),
  }]
}))
const cases: Case[] = []
let recipient: string | null = null
let numbered = 0
const who = (role: string) => ({ name_ja: NAMES[role]?.[0] ?? '', name_en: NAMES[role]?.[1] ?? '' })

export const me = (role: Role): StaffMe => ({
  account: { id: role, ...who(role), role, language: 'ja', agency: role === 'officer' ? AGENCY : null },
  city: { id: 'mimamori', name_ja: 'みまもり市', name_en: 'Mimamori City', tz: 'Asia/Tokyo' },
  recipient: role === 'officer' ? recipient : null,
})

const NEXT: Record<string, Partial<Record<State, Step[]>>> = {
  officer: { draft: ['submit', 'withdraw'], submitted: ['withdraw'], prepared: ['withdraw'], checked: ['withdraw'], ready: ['undertake'], released: ['return', 'extend', 'feedback'], returned: ['feedback'] },
  handler: { submitted: ['prepare', 'refuse'] },
  supervisor: { submitted: ['emergency'], prepared: ['check', 'refuse', 'emergency'], checked: ['refuse'] },
  manager: { checked: ['approve', 'refuse'] },
}
const TO: Partial<Record<Step, State>> = { submit: 'submitted', prepare: 'prepared', check: 'checked', approve: 'ready', refuse: 'refused', withdraw: 'withdrawn', emergency: 'ready', undertake: 'released', return: 'returned' }

function problems(one: Case): Case['problems'] {
  const has = (kind: PaperKind) => one.papers.some(paper => paper.kind === kind)
  const said = []
  if (one.purpose === 'crime' && !has('inquiry')) said.push({ policy: 'R02-inquiry', article: '宝塚市 要綱（モデル）', ja: '捜査関係事項照会書がありません。', en: 'The inquiry form is missing.' })
  if (one.purpose === 'crime' && !one.has_occurred) said.push({ policy: 'R03-planning', article: '宝塚市 要綱（モデル）', ja: 'まだ起きていない犯罪には、裁判官の令状が要ります。', en: 'An offence that has not occurred needs a judge’s warrant.' })
  if (!one.cameras.length) said.push({ policy: 'R08-cameras', article: '提案', ja: 'カメラと時間を選んでください。', en: 'Choose cameras and times.' })
  return said
}

const seen = (one: Case, role: string): Case => ({ ...one, may: NEXT[role]?.[one.state] ?? [], problems: one.state === 'draft' ? problems(one) : [] })

function filled(one: Case, fields: CaseFields): void {
  Object.assign(one, fields, {
    cameras: fields.cameras.map(window => {
      const { label_ja, label_en, lat_deg, lon_deg } = cameras.find(camera => camera.id === window.id) as Camera
      return { ...window, label_ja, label_en, lat_deg, lon_deg, kept: 'all', export: null }
    }),
  })
}

function draft(fields: CaseFields): Case {
  const one: Case = {
    id: `c${++numbered}`, number: `2026-${String(numbered).padStart(4, '0')}`, state: 'draft', agency: AGENCY, officer: { id: 'officer', ...who('officer') },
    offence: '', has_occurred: false, inquiry: null, warrant_number: '', report_number: '', missing_kind: '', last_confirmed_ms: null, reason: '', note: '',
    copy_certificate: null, is_overdue: false, is_found: false, cameras: [], papers: [], steps: [], deadlines: [], release: null, undertaking: null, certificate: null, feedback: null, may: [], problems: [], is_emergency: false,
    purpose: fields.purpose, basis: fields.basis,
  }
  filled(one, fields)
  cases.push(one)
  return one
}

type Body = { step: Step; note?: string; mode?: 'view' | 'download'; until_ms?: number; return_by_ms?: number; hashes?: string[]; method?: string; feedback?: Case['feedback'] }

function take(one: Case, role: Role, body: Body): void {
  const to = TO[body.step] ?? one.state
  one.steps.push({ step: body.step, from: one.state, to, at_ms: Date.now(), role, ...who(role), note: body.note ?? '' })
  one.state = to
  const now = Date.now()
  if (to === 'submitted') {
    one.deadlines = [{ kind: 'freeze', at_ms: now + 7 * DAY_MS }]
    one.cameras.forEach(camera => (camera.kept = 'frozen'))
  }
  if (to === 'ready') {
    one.is_emergency ||= body.step === 'emergency'
    one.release = { until_ms: body.until_ms ?? now + 30 * DAY_MS, mode: body.mode ?? 'view', opened: [] }
    one.deadlines = [{ kind: 'release', at_ms: one.release.until_ms }, ...(one.is_emergency ? [{ kind: 'ratify' as const, at_ms: now + 23 * HOUR_MS }] : [])]
    one.cameras.forEach((camera, n) => (camera.export = { id: `e${n}`, state: 'whole', size_bytes: 43_000_000, sha256: String(n + 1).repeat(64) }))
  }
  if (to === 'released') {
    const return_by_ms = body.return_by_ms ?? now + 30 * DAY_MS
    one.undertaking = { signed_at_ms: now, return_by_ms }
    one.deadlines.push({ kind: 'return', at_ms: return_by_ms })
  }
  if (to === 'returned' && body.step === 'return') one.certificate = { at_ms: now, method: body.method ?? '', hashes: body.hashes ?? [] }
  if (body.feedback) one.feedback = body.feedback
}

const row = (one: Case, role: string): CaseRow => ({
  id: one.id, number: one.number, state: one.state, purpose: one.purpose, agency: one.agency, is_emergency: one.is_emergency, is_overdue: false, cameras: one.cameras.length,
  submitted_at_ms: one.steps[0]?.at_ms ?? null, next_deadline_ms: Math.min(...one.deadlines.map(deadline => deadline.at_ms), Infinity) || null, may: seen(one, role).may,
})

/** Return the stand-in's answer for a signed-in role, undefined for what it does not know. */
export function answer(role: Role, method: string, path: string, body: unknown, name: string): unknown {
  if (path === '/me') return me(role)
  if (path === '/cameras') return { cameras, limits }
  if (path === '/me/recipient') return (recipient = (body as { recipient: string }).recipient)
  if (path === '/cases' && method === 'POST') return seen(draft(body as CaseFields), role)
  if (path === '/cases') return { cases: cases.filter(one => role === 'officer' || one.state !== 'draft').map(one => row(one, role)), next: '' }
  const [, , id, part, kind] = path.split('/')
  const one = cases.find(known => known.id === id)
  if (!one) return undefined
  if (method === 'PUT' && part === 'papers') {
    const findings = [{ code: 'text', severity: 'ok' as const, ja: '照会書の番号が申請と同じです。', en: 'The number is that of the request.' }, { code: 'date', severity: 'warning' as const, ja: '日付を読み取れませんでした。', en: 'The date could not be read.' }]
    one.papers.push({ id: `p${one.papers.length}`, kind: kind as PaperKind, name, size_bytes: 120_000, sha256: '0'.repeat(64), findings, added_at_ms: Date.now() })
    return one.papers.at(-1)
  }
  if (method === 'PUT') filled(one, body as CaseFields)
  if (method === 'POST') take(one, role, body as Body)
  return seen(one, role)
}

function sample(step: Step[], more: Partial<CaseFields> = {}): void {
  const from_ms = Date.now() - 3 * DAY_MS
  const one = draft({
    purpose: 'crime', basis: 'inquiry', is_emergency: false, offence: '窃盗（刑法235条）', has_occurred: true, inquiry: { number: '捜照 第123号', dated_on: '2026-11-24', station: 'みまもり警察署', officer: '司法警察員 生活安全課長' },
    warrant_number: '', report_number: '', missing_kind: '', last_confirmed_ms: null, reason: '', note: '白い自転車が通るはずです。',
    cameras: cameras.slice(0, 3).map(({ id }) => ({ id, from_ms, to_ms: from_ms + 2 * HOUR_MS })), ...more,
  })
  answer('officer', 'PUT', `/cases/${one.id}/papers/inquiry`, null, '照会書 第123号.pdf')
  answer('officer', 'PUT', `/cases/${one.id}/papers/request`, null, '提供依頼書兼誓約書.pdf')
  const by: Partial<Record<Step, Role>> = { prepare: 'handler', check: 'supervisor', emergency: 'supervisor', approve: 'manager' }
  for (const each of step) take(one, by[each] ?? 'officer', { step: each, return_by_ms: Date.now() + 14 * DAY_MS, mode: 'download' })
}
sample(['submit'])
sample(['submit', 'prepare'])
sample(['submit', 'prepare', 'check'], { purpose: 'traffic_accident', offence: '過失運転致傷' })
sample(['submit', 'emergency'], { purpose: 'missing_person', basis: 'article_69', offence: '', inquiry: null, report_number: '受理 第7号', missing_kind: 'vulnerable', last_confirmed_ms: Date.now() - 3 * DAY_MS })
sample(['submit', 'prepare', 'check', 'approve', 'undertake'])
sample(['submit', 'prepare', 'check', 'approve', 'undertake', 'return'])
