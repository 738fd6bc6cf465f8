import { describe, expect, it } from 'vitest'
import type { Camera, CaseRow, Limits } from '../src/staff/api'
import { bundlePath, command, entries, parse as parseNote } from '../src/log'
import { kept, leftMs, size } from '../src/staff/footage'
import { byDeadline, passes, waits } from '../src/staff/inbox'
import { DAY_MS, exact, fromField, HOUR_MS, hours, left, moment, toField } from '../src/staff/moment'
import { parse } from '../src/staff/route'
import { en } from '../src/staff/words/en'
import { ja } from '../src/staff/words/ja'

const NOW_MS = Date.parse('2026-11-26T08:02:30+09:00')
const limits: Limits = { max_cameras: 10, max_hours: 6, board_cameras: 50, lead_hours: 3, retention_days: 14, freeze_days: 7, emergency_hours: 24, return_days: 30, copy_days: 30, purposes: [], papers: {} }
const camera: Camera = { id: 'c', label_ja: '', label_en: '', lat_deg: 0, lon_deg: 0, kept_from_ms: NOW_MS - 10 * DAY_MS, is_recording: true, purposes: [] }
const window = (fromMs: number, toMs: number) => ({ id: 'c', from_ms: NOW_MS + fromMs, to_ms: NOW_MS + toMs })

describe('a moment', () => {
  it('is typed and shown in the time of the city, whatever the browser thinks', () => {
    expect(toField(NOW_MS, 'Asia/Tokyo')).toBe('2026-11-26T08:02:30')
    expect(fromField('2026-11-26T08:02:30', 'Asia/Tokyo')).toBe(NOW_MS)
    expect(fromField('2026-11-26T', 'Asia/Tokyo')).toBeNull()
  })

  it('comes back from the field on both sides of a change of the clocks', () => {
    for (const text of ['2026-03-29T01:30:00', '2026-03-29T03:30:00', '2026-10-25T04:30:00']) {
      expect(toField(fromField(text, 'Europe/Berlin') ?? 0, 'Europe/Berlin')).toBe(text)
    }
  })

  it('shows its seconds only where footage begins or ends', () => {
    expect(moment(NOW_MS, 'Asia/Tokyo', 'ja')).toBe('11月26日(木) 8:02')
    expect(exact(NOW_MS, 'Asia/Tokyo', 'ja')).toBe('11月26日(木) 8:02:30')
  })

  it('that is coming is never made to look further away than it is', () => {
    expect(left(NOW_MS + 2 * HOUR_MS - 1, NOW_MS, ja)).toBe('あと1時間')
    expect(left(NOW_MS - 3 * DAY_MS, NOW_MS, en)).toBe('3 days overdue')
  })
})

describe('a window', () => {
  it.each([
    [-HOUR_MS, 0, 'all'], [-11 * DAY_MS, -HOUR_MS, 'part'], [-12 * DAY_MS, -11 * DAY_MS, 'gone'], [-HOUR_MS, HOUR_MS, 'future'], [0, -HOUR_MS, 'backwards'],
  ])('from %i to %i ms is %s', (from, to, said) => expect(kept(window(from, to), camera, NOW_MS)).toBe(said))

  it('of a camera nobody has heard of is not called kept', () => {
    expect(kept(window(-HOUR_MS, 0), { ...camera, kept_from_ms: null }, NOW_MS)).toBe('unknown')
    expect(kept(window(-HOUR_MS, 0), { ...camera, kept_from_ms: null, is_recording: false }, NOW_MS)).toBe('gone')
  })

  it('is deleted when its first second has been kept for the days of the ordinance', () => {
    expect(leftMs(window(-13 * DAY_MS, 0), limits, NOW_MS)).toBe(DAY_MS)
    expect(leftMs(window(-15 * DAY_MS, 0), limits, NOW_MS)).toBe(0)
  })
})

describe('the size of a request', () => {
  it('counts a camera once and its hours as often as it is asked for', () => {
    expect(size([window(-2 * HOUR_MS, 0), window(-5 * HOUR_MS, -4 * HOUR_MS)], limits)).toMatchObject({ cameras: 1, longestMs: 2 * HOUR_MS, totalMs: 3 * HOUR_MS, isAbove: false })
  })

  it('is above the ceiling with eleven cameras, or with one second more than six hours', () => {
    const many = (n: number) => Array.from({ length: n }, (_, at) => ({ ...window(-HOUR_MS, 0), id: String(at) }))
    expect(size(many(10), limits).isAbove).toBe(false)
    expect(size(many(11), limits).isAbove).toBe(true)
    expect(size([window(-6 * HOUR_MS, 0)], limits).isAbove).toBe(false)
    expect(size([window(-6 * HOUR_MS - 1000, 0)], limits).isAbove).toBe(true)
    expect([50, 51].map(n => size(many(n), limits).goesToBoard)).toEqual([false, true])
  })

  it('never shows fewer hours than it has', () => {
    expect([hours(HOUR_MS), hours(HOUR_MS + 1000), hours(90 * 60_000)]).toEqual(['1', '1.01', '1.5'])
  })
})

describe('the inbox', () => {
  const row = (more: Partial<CaseRow>): CaseRow => ({
    id: '', number: '', state: 'submitted', purpose: 'crime', agency: { id: '', name_ja: '', name_en: '' }, is_emergency: false, is_overdue: false, cameras: 1, submitted_at_ms: 0, next_deadline_ms: null, may: [], ...more,
  })

  it('puts emergencies first, then what falls due first, then what has no deadline', () => {
    const rows = [row({ id: 'none' }), row({ id: 'late', next_deadline_ms: 9 }), row({ id: 'soon', next_deadline_ms: 1 }), row({ id: 'emergency', is_emergency: true })]
    expect(rows.sort(byDeadline).map(one => one.id)).toEqual(['emergency', 'soon', 'late', 'none'])
  })

  it('calls nobody for what may be done at any time', () => {
    expect(waits(row({ may: ['withdraw', 'refuse', 'emergency'] }))).toBe(false)
    expect(waits(row({ may: ['emergency'], is_emergency: true }))).toBe(true)
    expect(waits(row({ may: ['prepare', 'refuse'] }))).toBe(true)
  })

  it('keeps what has ended apart', () => {
    expect(passes(row({ state: 'refused' }), 'open')).toBe(false)
    expect(passes(row({ state: 'refused' }), 'ended')).toBe(true)
  })
})

describe('the address', () => {
  it('names the page, and the list where it names none', () => {
    expect(parse('#/cases/new')).toEqual({ page: 'new' })
    expect(parse('#/cases/ab%20c/frozen')).toEqual({ page: 'case', id: 'ab c', isFresh: true })
    expect(parse('#/audit')).toEqual({ page: 'audit' })
    expect(parse('#/nothing')).toEqual({ page: 'list' })
  })

  it('that is malformed opens the list', () => expect(parse('#/cases/%E0%A4%A')).toEqual({ page: 'list' }))
})

describe('a checkpoint', () => {
  it('tells its size and who signed', () => {
    expect(parseNote('mimamori/log\n123\ncm9vdA==\n\n— mimamori/log AAAA\n— witness-1 BBBB\n')).toEqual({ origin: 'mimamori/log', size: 123, root: 'cm9vdA==', signers: ['mimamori/log', 'witness-1'] })
  })

  it('that is none is not shown', () => expect(parseNote('<html>')).toBeNull())

  it.each([['— a/log AAAA\n', '--key log.vkey'], ['— a/log AAAA\n— witness-1 BBBB\n', '--key log.vkey --policy policy']])('signed by %j is verified with what is published', (signed, with_) => {
    const point = parseNote(`a/log\n1\ncm9vdA==\n\n${signed}`)
    expect(point && command(point, 'https://city.example')).toBe(`mimamori audit verify https://city.example/log ${with_}`)
  })
})

describe('the published log', () => {
  it('lies under the paths of tlog-tiles', () => {
    expect(bundlePath(0, 70)).toBe('tile/entries/000.p/70')
    expect(bundlePath(1_234_067, 256 * 1_234_068)).toBe('tile/entries/x001/x234/067')
  })

  it('gives the entries of a bundle with their places', () => {
    const entry = (text: string) => [text.length >> 8, text.length & 255, ...new TextEncoder().encode(text)]
    const bundle = new Uint8Array([...entry('{"kind":"a"}'), ...entry('{"kind":"b"}')])
    expect(entries(bundle.buffer, 2)).toEqual([{ kind: 'a', index: 512 }, { kind: 'b', index: 513 }])
    expect(() => entries(bundle.slice(0, -1).buffer, 0)).toThrow('cut short')
  })
})

describe('the words', () => {
  it('of both languages have all states, steps and purposes, and none is empty', () => {
    const empty = (table: object): string[] => Object.entries(table).flatMap(([key, value]) => (typeof value === 'object' ? empty(value).map(rest => `${key}.${rest}`) : value === '' ? [key] : []))
    expect(empty(ja)).toEqual(['form.save.idle'])
    expect(empty(en)).toEqual(['form.save.idle'])
  })
})
