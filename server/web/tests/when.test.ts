import { expect, test } from 'vitest'
import { age, clockTime, dayAndTime, isStale, localDate, roundAccuracyM, townNowMs } from '../src/when'

const TOKYO = 'Asia/Tokyo'
const at = (text: string) => Date.parse(`${text}+09:00`)

test('the town clock runs from what the server said, at its speed', () => {
  const clock = { simulated: true, speed: 60, now_ms: 1_000_000 }
  expect(townNowMs(clock, 5_000, 5_000)).toBe(1_000_000)
  expect(townNowMs(clock, 5_000, 6_000)).toBe(1_060_000)
})

test('a time of day is written as on a clock, in the city, wherever the browser is', () => {
  expect(clockTime(at('2026-11-24T08:02:59'), TOKYO)).toBe('8:02')
  expect(clockTime(at('2026-11-24T00:05:00'), TOKYO)).toBe('0:05')
  expect(clockTime(at('2026-11-24T15:29:00'), TOKYO)).toBe('15:29')
})

test('the day changes at the midnight of the city', () => {
  expect(localDate(at('2026-11-23T23:59:59'), TOKYO)).toBe('2026-11-23')
  expect(localDate(at('2026-11-24T00:00:00'), TOKYO)).toBe('2026-11-24')
})

test('another day is named before its time', () => {
  const now = at('2026-11-24T07:00:00')
  expect(dayAndTime(at('2026-11-24T06:00:00'), now, TOKYO, 'ja')).toBe('6:00')
  expect(dayAndTime(at('2026-11-23T15:12:00'), now, TOKYO, 'ja')).toBe('11月23日 15:12')
  expect(dayAndTime(at('2026-11-23T15:12:00'), now, TOKYO, 'en')).toBe('23 Nov, 15:12')
})

test.each([
  [-5_000, 'now', 0], // a detector's clock slightly ahead
  [59_999, 'now', 0],
  [60_000, 'minutes', 1],
  [12.9 * 60_000, 'minutes', 12],
  [60 * 60_000, 'hours', 1],
  [23.99 * 3_600_000, 'hours', 23],
  [24 * 3_600_000, 'days', 1],
] as const)('%d ms ago is %s, %d', (elapsed, unit, count) => {
  expect(age(0, elapsed)).toEqual({ unit, count })
})

test('a place is stale after a quarter of an hour', () => {
  expect(isStale(0, 15 * 60_000 - 1)).toBe(false)
  expect(isStale(0, 15 * 60_000)).toBe(true)
})

test.each([[3, 10], [27, 30], [30, 30], [99, 100], [101, 150], [140, 150], [1_200, 1_500]])('%d m is called about %d m', (exact, said) => {
  expect(roundAccuracyM(exact)).toBe(said)
})
