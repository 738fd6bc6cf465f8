/** What of a window is still kept, and how large a request is. Pure. */
import type { Camera, CaseCamera, Limits, Window } from './api'
import { DAY_MS, HOUR_MS } from './moment'

export type Kept = 'all' | 'part' | 'gone' | 'frozen' | 'unknown' | 'future' | 'backwards'

/** Return what is kept of a window, as far as the city knows. */
export function kept(window: Window, camera: Camera | undefined, nowMs: number): Kept {
  if (window.to_ms <= window.from_ms) return 'backwards'
  if (!camera || camera.kept_from_ms === null) return camera && !camera.is_recording ? 'gone' : 'unknown'
  if (window.to_ms <= camera.kept_from_ms) return 'gone'
  if (window.from_ms < camera.kept_from_ms) return 'part'
  return window.to_ms > nowMs ? 'future' : 'all'
}

/** Return how long the first second of a window is still kept where nobody freezes it. */
export function leftMs(window: Window, limits: Limits, nowMs: number): number {
  return Math.max(0, window.from_ms + limits.retention_days * DAY_MS - nowMs)
}

export type Ceiling = Pick<Limits, 'max_cameras' | 'max_hours' | 'board_cameras'>
export type Size = { cameras: number; longestMs: number; totalMs: number; isAbove: boolean; goesToBoard: boolean }

/** Return how large a request is. A camera that is asked for twice is one camera. */
export function size(windows: readonly Window[], limits: Ceiling): Size {
  const lengths = windows.map(window => Math.max(0, window.to_ms - window.from_ms))
  const cameras = new Set(windows.map(window => window.id)).size
  const longestMs = Math.max(0, ...lengths)
  const isAbove = cameras > limits.max_cameras || longestMs > limits.max_hours * HOUR_MS
  return { cameras, longestMs, totalMs: lengths.reduce((sum, ms) => sum + ms, 0), isAbove, goesToBoard: cameras > limits.board_cameras }
}

/** Return the hashes that a certificate of return must list. */
export function hashes(cameras: readonly CaseCamera[]): string[] {
  return cameras.flatMap(camera => camera.export?.sha256 ?? [])
}
