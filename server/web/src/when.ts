/** Times in words. All are the town's times, in the city's time zone. */
import type { Language, TownClock } from './api'

const MINUTE_MS = 60_000

/** Return the town's time at `wallMs`, where the server's clock was read at `readAtMs` (both the browser's clock). */
export function townNowMs(clock: TownClock, readAtMs: number, wallMs: number): number {
  return clock.now_ms + (wallMs - readAtMs) * clock.speed
}

/** Return "8:02". Hours carry no leading zero, as clocks of families have it. */
export function clockTime(atMs: number, tz: string): string {
  const parts = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone: tz }).format(atMs)
  return parts.replace(/^0/, '')
}

/** Return "2026-11-23", the day that `atMs` belongs to in the city. */
export function localDate(atMs: number, tz: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone: tz }).format(atMs)
}

/** Return "8:02", with "11月22日 " or "22 Nov, " before it where that was another day than `nowMs`. */
export function dayAndTime(atMs: number, nowMs: number, tz: string, language: Language): string {
  if (localDate(atMs, tz) === localDate(nowMs, tz)) return clockTime(atMs, tz)
  const locale = language === 'ja' ? 'ja-JP' : 'en-GB'
  const day = new Intl.DateTimeFormat(locale, { month: language === 'ja' ? 'long' : 'short', day: 'numeric', timeZone: tz }).format(atMs)
  return language === 'ja' ? `${day} ${clockTime(atMs, tz)}` : `${day}, ${clockTime(atMs, tz)}`
}

export type Age = { unit: 'now' | 'minutes' | 'hours' | 'days'; count: number }

/** Return how long ago that was, rounded down: nothing is made to look fresher than it is by more than one unit. */
export function age(atMs: number, nowMs: number): Age {
  const minutes = Math.max(0, Math.floor((nowMs - atMs) / MINUTE_MS))
  if (minutes < 1) return { unit: 'now', count: 0 }
  if (minutes < 60) return { unit: 'minutes', count: minutes }
  if (minutes < 24 * 60) return { unit: 'hours', count: Math.floor(minutes / 60) }
  return { unit: 'days', count: Math.floor(minutes / (24 * 60)) }
}

/** Return whether a place is too old to be called the present one: nothing heard for 15 minutes. */
export function isStale(atMs: number, nowMs: number): boolean {
  return nowMs - atMs >= 15 * MINUTE_MS
}

/** Return an accuracy as people say it: 27 m is "about 30 m", 140 m "about 150 m". Never rounded down. */
export function roundAccuracyM(accuracyM: number): number {
  const step = accuracyM < 100 ? 10 : accuracyM < 1000 ? 50 : 500
  return Math.max(step, Math.ceil(accuracyM / step) * step)
}
