/** What an update of the live stream does to what is on the screen. Pure. */
import type { Fix, Place, WardEvent } from './api'

/** Return the newer place: a late upload never moves a ward back. */
export function laterPlace(shown: Place | null, incoming: Place): Place {
  return shown && shown.heard_at_ms > incoming.heard_at_ms ? shown : incoming
}

/** Return the track with `fix` in its place in time; a fix of the same moment replaces the one shown. */
export function withFix(track: readonly Fix[], fix: Fix): Fix[] {
  const index = track.findLastIndex(known => known.heard_at_ms <= fix.heard_at_ms)
  const repeated = track[index]?.heard_at_ms === fix.heard_at_ms
  return [...track.slice(0, repeated ? index : index + 1), fix, ...track.slice(index + 1)]
}

/** Return the events newest first, each id once. */
export function withEvents(shown: readonly WardEvent[], incoming: readonly WardEvent[]): WardEvent[] {
  const byId = new Map([...shown, ...incoming].map(event => [event.id, event]))
  return [...byId.values()].sort((a, b) => b.at_ms - a.at_ms || Number(b.id) - Number(a.id))
}

/** Return the fix that held at `atMs`: the last one heard by then, or the first of the day. */
export function fixAt(track: readonly Fix[], atMs: number): Fix | null {
  return track.findLast(fix => fix.heard_at_ms <= atMs) ?? track[0] ?? null
}

export type Stay = { near: string; fromMs: number; toMs: number; accuracyM: number; late: boolean }

const PASSING_MS = 60_000

function joined(a: Stay, b: Stay): Stay {
  return { ...a, toMs: b.toMs, accuracyM: Math.max(a.accuracyM, b.accuracyM), late: a.late || b.late }
}

/** Return the track as a list to be read: fixes with the same words are one stay, a moment's other word between is left out. */
export function stays(track: readonly Fix[], describe: (fix: Fix) => string): Stay[] {
  const found: Stay[] = []
  for (const fix of track) {
    const stay = { near: describe(fix), fromMs: fix.heard_at_ms, toMs: fix.heard_at_ms, accuracyM: fix.accuracy_m, late: fix.late }
    const [before, last] = [found.at(-2), found.at(-1)]
    if (last?.near === stay.near) found[found.length - 1] = joined(last, stay)
    else if (last && before?.near === stay.near && stay.fromMs - last.fromMs < PASSING_MS) found.splice(-2, 2, joined(joined(before, last), stay))
    else found.push(stay)
  }
  return found
}

const SMOOTH_MS = 30_000

/** Return the track as a calm line: each point the mean of the half minute about it, sure fixes counting more. For drawing only. */
export function smoothed(track: readonly Fix[]): Fix[] {
  let from = 0
  return track.map(fix => {
    while (fix.heard_at_ms - (track[from] as Fix).heard_at_ms > SMOOTH_MS) from++
    let [weight, lat, lon] = [0, 0, 0]
    for (let i = from; i < track.length && (track[i] as Fix).heard_at_ms - fix.heard_at_ms <= SMOOTH_MS; i++) {
      const near = track[i] as Fix
      const sureness = 1 / Math.max(near.accuracy_m, 5) ** 2
      weight += sureness
      lat += sureness * near.lat_deg
      lon += sureness * near.lon_deg
    }
    return { ...fix, lat_deg: lat / weight, lon_deg: lon / weight }
  })
}

/** Someone who stays draws no scribble. */
const APART_M = 20

/** Return the points worth drawing: one so near to the last one drawn says nothing new. */
export function thinned(track: readonly Fix[], apartM: (a: Fix, b: Fix) => number): Fix[] {
  const kept: Fix[] = []
  for (const fix of track) {
    const last = kept.at(-1)
    if (!last || apartM(last, fix) > APART_M) kept.push(fix)
  }
  const end = track.at(-1)
  if (end && kept.at(-1) !== end) kept.push(end)
  return kept
}
