/** The live stream (Server-Sent Events), kept open: the browser reconnects by itself, we do where it gives up. */
import type { Place, WardEvent } from './api'

export type LiveState = 'connecting' | 'live' | 'reconnecting'
export type LiveHandlers = {
  state(state: LiveState): void
  place(update: Place & { ward_id: string }): void
  event(update: WardEvent & { ward_id: string }): void
  /** The stream (re)opened, or could not be: whatever was missed meanwhile must be read again. */
  reopened(): void
}

const RETRY_MS = [1_000, 2_000, 5_000, 10_000, 20_000]

/** Return how long to wait before try number `n` (from 0), spread by `random` in [0, 1). */
export function retryDelayMs(n: number, random: number): number {
  const base = RETRY_MS[Math.min(n, RETRY_MS.length - 1)] ?? 20_000
  return base * (0.75 + random / 2)
}

/** Open the stream and keep it so. Returns the function that closes it. */
export function watch(handlers: LiveHandlers): () => void {
  let source: EventSource | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let failures = 0
  function open() {
    source = new EventSource('/api/v1/live')
    source.addEventListener('open', () => {
      failures = 0
      handlers.state('live')
      handlers.reopened()
    })
    source.addEventListener('place', message => handlers.place(JSON.parse(message.data)))
    source.addEventListener('event', message => handlers.event(JSON.parse(message.data)))
    source.addEventListener('error', () => {
      handlers.state('reconnecting')
      if (source?.readyState !== EventSource.CLOSED) return
      handlers.reopened() // tells a lost session (401) from a lost network
      timer = setTimeout(open, retryDelayMs(failures++, Math.random()))
    })
  }
  open()
  return () => {
    clearTimeout(timer)
    source?.close()
  }
}
