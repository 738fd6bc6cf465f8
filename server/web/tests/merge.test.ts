import { expect, test } from 'vitest'
import type { Fix, Place, WardEvent } from '../src/api'
import { fixAt, laterPlace, smoothed, stays, thinned, withEvents, withFix } from '../src/merge'

const fix = (heard_at_ms: number, more: Partial<Fix> = {}): Fix =>
  ({ lat_deg: 35, lon_deg: 139, accuracy_m: 30, heard_at_ms, received_at_ms: heard_at_ms, late: false, ...more })
const place = (heard_at_ms: number): Place => ({ ...fix(heard_at_ms), near: null, battery_pct: null, sos: false, traceable: false })
const event = (id: number, at_ms: number): WardEvent => ({ id, kind: 'arrived', place: null, at_ms, received_at_ms: at_ms })
const times = (track: Fix[]) => track.map(known => known.heard_at_ms)

test('a late upload does not move a ward back', () => {
  const shown = place(200)
  expect(laterPlace(shown, place(100))).toBe(shown)
  expect(laterPlace(shown, place(300)).heard_at_ms).toBe(300)
  expect(laterPlace(null, place(100)).heard_at_ms).toBe(100)
})

test('an update of the same moment replaces what is shown', () => {
  const corrected = { ...place(200), battery_pct: 15 }
  expect(laterPlace(place(200), corrected)).toBe(corrected)
})

test('a fix goes to its place in time, however late it comes', () => {
  expect(times(withFix([fix(1), fix(3)], fix(2)))).toEqual([1, 2, 3])
  expect(times(withFix([fix(1), fix(3)], fix(4)))).toEqual([1, 3, 4])
  expect(times(withFix([fix(1), fix(3)], fix(0)))).toEqual([0, 1, 3])
  expect(times(withFix([], fix(5)))).toEqual([5])
})

test('a fix that comes twice is there once', () => {
  const twice = withFix([fix(1), fix(2), fix(3)], fix(2, { accuracy_m: 10 }))
  expect(times(twice)).toEqual([1, 2, 3])
  expect(twice[1]?.accuracy_m).toBe(10)
})

test('any order of arrival gives the same track', () => {
  const orders = [[1, 2, 3], [3, 2, 1], [2, 3, 1], [2, 2, 1, 3]]
  for (const order of orders) expect(times(order.map(at => fix(at)).reduce<Fix[]>(withFix, []))).toEqual([1, 2, 3])
})

test('events are newest first and each is there once', () => {
  const merged = withEvents([event(1, 10), event(2, 20)], [event(3, 15), event(2, 20)])
  expect(merged.map(known => known.id)).toEqual([2, 3, 1])
})

test('the slider finds the fix that held at that moment', () => {
  const track = [fix(100), fix(200), fix(300)]
  expect(fixAt(track, 250)?.heard_at_ms).toBe(200)
  expect(fixAt(track, 50)?.heard_at_ms).toBe(100)
  expect(fixAt(track, 999)?.heard_at_ms).toBe(300)
  expect(fixAt([], 1)).toBeNull()
})

test('neighbouring fixes at one place are one stay, with the worst accuracy and any lateness', () => {
  const track = [fix(1), fix(2, { accuracy_m: 80 }), fix(3, { late: true }), fix(4), fix(5)]
  const near = (known: Fix) => (known.heard_at_ms < 4 ? 'home' : 'school')
  expect(stays(track, near)).toEqual([
    { near: 'home', fromMs: 1, toMs: 3, accuracyM: 80, late: true },
    { near: 'school', fromMs: 4, toMs: 5, accuracyM: 30, late: false },
  ])
})

test('a word of less than a minute between two equal ones is noise', () => {
  const words: Record<number, string> = { 0: 'home', 30_000: 'park', 80_000: 'home', 90_000: 'park', 200_000: 'home' }
  const track = Object.keys(words).map(at => fix(Number(at)))
  const read = stays(track, known => words[known.heard_at_ms] ?? '').map(stay => [stay.near, stay.fromMs, stay.toMs])
  expect(read).toEqual([['home', 0, 80_000], ['park', 90_000, 90_000], ['home', 200_000, 200_000]])
})

test('a point close to the last one drawn is not drawn, the newest always is', () => {
  const apart = (a: Fix, b: Fix) => Math.abs(a.lat_deg - b.lat_deg) * 100_000
  const track = [35, 35.0001, 35.0005, 35.00051].map((lat_deg, n) => fix(n, { lat_deg }))
  expect(times(thinned(track, apart))).toEqual([0, 2, 3])
})

test('the drawn line leans to the sure fixes of the half minute about it, and to no others', () => {
  const unsure = fix(10_000, { lat_deg: 36, accuracy_m: 300 })
  const line = smoothed([fix(0), unsure, fix(20_000), fix(60_000, { lat_deg: 37 })])
  expect(times(line)).toEqual([0, 10_000, 20_000, 60_000])
  expect(line[1]?.lat_deg).toBeCloseTo(35.005, 3)
  expect(line[3]?.lat_deg).toBe(37)
})
