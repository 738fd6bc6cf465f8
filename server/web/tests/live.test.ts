import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type LiveHandlers, retryDelayMs, watch } from '../src/live'

/** The browser's EventSource, driven by hand: Node has none. */
class Stream extends EventTarget {
  static readonly CLOSED = 2
  static opened: Stream[] = []
  readyState = 0
  constructor(readonly url: string) {
    super()
    Stream.opened.push(this)
  }
  close() {
    this.readyState = 2
  }
  say(name: string, data: object) {
    this.dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(data) }))
  }
  breakOff(isFinal: boolean) {
    this.readyState = isFinal ? 2 : 0
    this.dispatchEvent(new Event('error'))
  }
}

const recorder = () => {
  const said: unknown[] = []
  const handlers: LiveHandlers = {
    state: state => said.push(state),
    place: update => said.push(update.ward_id),
    event: update => said.push(update.id),
    reopened: () => said.push('read again'),
  }
  return { said, handlers }
}
const last = () => Stream.opened.at(-1) as Stream

beforeEach(() => {
  Stream.opened = []
  vi.stubGlobal('EventSource', Stream)
  vi.useFakeTimers()
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

test('places and events are handed on', () => {
  const { said, handlers } = recorder()
  watch(handlers)
  last().dispatchEvent(new Event('open'))
  last().say('place', { ward_id: 'yui' })
  last().say('event', { id: 7 })
  expect(said).toEqual(['live', 'read again', 'yui', 7])
})

test('while the browser reconnects by itself no second stream is opened', () => {
  const { said, handlers } = recorder()
  watch(handlers)
  last().breakOff(false)
  vi.advanceTimersByTime(60_000)
  expect(said).toEqual(['reconnecting'])
  expect(Stream.opened).toHaveLength(1)
})

test('where the browser gives up we open anew, and read what was missed', () => {
  const { said, handlers } = recorder()
  watch(handlers)
  last().breakOff(true)
  vi.advanceTimersByTime(2_000)
  last().dispatchEvent(new Event('open'))
  expect(said).toEqual(['reconnecting', 'read again', 'live', 'read again'])
})

test('a closed watch stays closed', () => {
  const stop = watch(recorder().handlers)
  last().breakOff(true)
  stop()
  vi.advanceTimersByTime(60_000)
  expect(Stream.opened).toHaveLength(1)
})

test('tries come ever later, up to 25 seconds apart', () => {
  expect(retryDelayMs(0, 0)).toBe(750)
  expect(retryDelayMs(2, 0.5)).toBe(5_000)
  expect(retryDelayMs(99, 0.999)).toBeLessThan(25_000)
})
