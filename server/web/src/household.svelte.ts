/** What one signed-in guardian sees: read once, then kept current by the live stream. */
import * as api from './api'
import type { Fix, Me, Place, TownMap, Ward, WardEvent, WatchedPlace } from './api'
import { type LiveState, watch } from './live'
import { laterPlace, withEvents, withFix } from './merge'
import { nearness } from './near'
import { localDate, townNowMs } from './when'

const TICK_MS = 1_000

/** Everything known of one ward. `place` undefined: not read yet; null: not seen yet. */
export class Watched {
  place = $state.raw<Place | null | undefined>(undefined)
  track = $state.raw<Fix[]>([])
  events = $state.raw<WardEvent[]>([])
  places = $state.raw<WatchedPlace[]>([])
  unread = $state(0)

  constructor(readonly ward: Ward) {}
}

export class Household {
  readonly me: Me
  readonly watched: Watched[]
  readonly tz: string
  town = $state.raw<TownMap | null>(null)
  live = $state<LiveState>('connecting')
  online = $state(navigator.onLine)
  failed = $state(false)
  latest = $state.raw<{ ward: Ward; event: WardEvent } | null>(null)
  #selectedId = $state('')
  #wallMs = $state(Date.now())
  readonly #readAtMs: number
  readonly #signedOut: () => void
  #loading: Promise<void> | null = null

  readonly nowMs = $derived.by(() => townNowMs(this.me.clock, this.#readAtMs, this.#wallMs))
  readonly today = $derived.by(() => localDate(this.nowMs, this.tz))
  readonly selected = $derived.by(() => this.watched.find(watched => watched.ward.id === this.#selectedId))
  readonly near = $derived.by(() => nearness(this.town, this.selected?.places ?? []))

  constructor(me: Me, readAtMs: number, signedOut: () => void) {
    this.me = me
    this.tz = me.city.tz
    this.#readAtMs = readAtMs
    this.#signedOut = signedOut
    this.watched = me.wards.map(ward => new Watched(ward))
    this.#selectedId = me.wards[0]?.id ?? ''
  }

  select(id: string): void {
    this.#selectedId = id
  }

  /** Start reading and listening. Returns the function that ends it. */
  open(): () => void {
    const tick = setInterval(() => this.#tick(), TICK_MS)
    const stop = watch({
      state: state => (this.live = state),
      place: update => this.#take(update),
      event: update => this.#hear(update),
      reopened: () => void this.load(),
    })
    const network = () => (this.online = navigator.onLine)
    const seen = () => document.visibilityState === 'visible' && void this.load()
    addEventListener('online', network)
    addEventListener('offline', network)
    document.addEventListener('visibilitychange', seen)
    void this.load()
    return () => {
      clearInterval(tick)
      stop()
      removeEventListener('online', network)
      removeEventListener('offline', network)
      document.removeEventListener('visibilitychange', seen)
    }
  }

  #tick(): void {
    const before = this.today
    this.#wallMs = Date.now()
    if (this.today !== before) void this.load() // past the town's midnight another track is today's
  }

  /** Read everything anew; calls while one is under way join it. */
  load(): Promise<void> {
    return (this.#loading ??= this.#read().finally(() => (this.#loading = null)))
  }

  async #read(): Promise<void> {
    try {
      await Promise.all([this.#readTown(), ...this.watched.map(watched => this.#readWard(watched))])
      this.failed = false
    } catch (error) {
      if (error instanceof api.ApiError && error.status === 401) this.#signedOut()
      else this.failed = true
    }
  }

  async #readTown(): Promise<void> {
    this.town ??= await api.townMap()
  }

  async #readWard(watched: Watched): Promise<void> {
    const { id } = watched.ward
    const date = this.today
    const [place, track, events, places] = await Promise.all([api.place(id), api.track(id, date), api.events(id), api.places(id)])
    watched.place = place && laterPlace(watched.place ?? null, place)
    const lastMs = track.at(-1)?.heard_at_ms ?? 0
    watched.track = watched.track.filter(fix => fix.heard_at_ms > lastMs && this.#isOf(date, fix)).reduce(withFix, track)
    watched.events = withEvents(watched.events, events)
    watched.places = places
  }

  #isOf(date: string, fix: Fix): boolean {
    return localDate(fix.heard_at_ms, this.tz) === date
  }

  #take({ ward_id, ...place }: Place & { ward_id: string }): void {
    const watched = this.watched.find(known => known.ward.id === ward_id)
    if (!watched) return
    watched.place = laterPlace(watched.place ?? null, place)
    const kept = watched.track.length && !this.#isOf(this.today, watched.track[0] as Fix) ? [] : watched.track
    watched.track = this.#isOf(this.today, place) ? withFix(kept, place) : kept
  }

  #hear({ ward_id, ...event }: WardEvent & { ward_id: string }): void {
    const watched = this.watched.find(known => known.ward.id === ward_id)
    if (!watched || watched.events.some(known => known.id === event.id)) return
    watched.events = withEvents(watched.events, [event])
    watched.unread += 1
    this.latest = { ward: watched.ward, event }
  }
}
