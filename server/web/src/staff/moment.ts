/** Times of cases in words and in input fields: wall time, in the city's time zone whatever the browser's is. */
import type { Language } from '../api'
import type { StaffWords } from './words/ja'

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** Return how far the zone is ahead of UTC at a moment. */
function offsetMs(atMs: number, tz: string): number {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone: tz, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
  }).formatToParts(atMs)
  const [year, month, day, hour, minute, second] = ['year', 'month', 'day', 'hour', 'minute', 'second'].map(
    type => Number(parts.find(part => part.type === type)?.value),
  ) as [number, number, number, number, number, number]
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1000) * 1000
}

/** Return "2026-11-26T08:02:00" as `<input type="datetime-local" step="1">` wants it. */
export function toField(atMs: number, tz: string): string {
  return new Date(atMs + offsetMs(atMs, tz)).toISOString().slice(0, 19)
}

/** Return the moment in such a field, or null where it holds none. */
export function fromField(text: string, tz: string): number | null {
  const asUtcMs = Date.parse(`${text}Z`)
  if (Number.isNaN(asUtcMs)) return null
  const guessMs = asUtcMs - offsetMs(asUtcMs, tz)
  return asUtcMs - offsetMs(guessMs, tz) // once more: the zone may have changed its offset in between
}

/** Return "11月26日(木) 8:02" or "Thu 26 Nov, 8:02". */
export function moment(atMs: number, tz: string, language: Language): string {
  const day = new Intl.DateTimeFormat(language === 'ja' ? 'ja-JP' : 'en-GB', {
    month: language === 'ja' ? 'long' : 'short', day: 'numeric', weekday: 'short', timeZone: tz,
  }).format(atMs)
  const [hour = '', minute = ''] = toField(atMs, tz).slice(11).split(':')
  return `${day} ${Number(hour)}:${minute}`
}

/** Return the same with the seconds, where there are some: the bounds of footage. */
export function exact(atMs: number, tz: string, language: Language): string {
  const seconds = toField(atMs, tz).slice(17)
  return `${moment(atMs, tz, language)}${seconds === '00' ? '' : `:${seconds}`}`
}

/** Return "2時間" or "3日": whole units, rounded down, so that no time left is made to look longer. */
export function stretch(ms: number, words: StaffWords): string {
  if (ms >= 2 * DAY_MS) return words.time.days(Math.floor(ms / DAY_MS))
  if (ms >= HOUR_MS) return words.time.hours(Math.floor(ms / HOUR_MS))
  return words.time.minutes(Math.max(0, Math.floor(ms / MINUTE_MS)))
}

/** Return "あと2時間" before a moment, "2時間すぎています" after it. */
export function left(atMs: number, nowMs: number, words: StaffWords): string {
  const ms = atMs - nowMs
  return ms >= 0 ? words.time.in(stretch(ms, words)) : words.time.overdue(stretch(-ms, words))
}

/** Return hours as people read them: 6, 1.5, 0.25. Rounded up, as a ceiling is counted. */
export function hours(ms: number): string {
  return String(Math.ceil((ms / HOUR_MS) * 100 - 1e-9) / 100)
}
