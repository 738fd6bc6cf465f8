/** The server's HTTP API (/api/openapi.json): types and calls. Times are UTC milliseconds of the town's clock. */
import { ApiError, call, get } from './http'

export { ApiError }

export type Language = 'ja' | 'en'
export type Named = { name_ja: string; name_en: string }
export type Ward = Named & { id: string }
export type TownClock = { simulated: boolean; speed: number; now_ms: number }
export type Role =
  | 'guardian' | 'watched' | 'volunteer' | 'officer' | 'handler' | 'supervisor' | 'manager' | 'provider' | 'board'
export type Account = Named & { id: string; role: Role; language: Language; agency: (Named & { id: string }) | null }
export type Me = {
  account: Account
  guardian: (Named & { language: Language }) | null
  city: Named & { id: string; tz: string }
  clock: TownClock
  wards: Ward[]
  push_public_key: string | null
}
export type Fix = {
  lat_deg: number
  lon_deg: number
  accuracy_m: number
  heard_at_ms: number
  received_at_ms: number
  late: boolean
}
export type Place = Fix & { near: Named | null; battery_pct: number | null; sos: boolean; traceable: boolean }
export type WardEvent = {
  id: string | number
  kind: 'arrived' | 'departed' | 'sos'
  place: Named | null
  at_ms: number
  received_at_ms: number
}
export type WatchedPlace = Named & { id: string; kind: string; lat_deg: number; lon_deg: number; radius_m: number }
export type LookUp = { id: string; at_ms: number; role: string; agency: Named | null; purpose: string; action: string; case: string | null }
export type TownMap = GeoJSON.FeatureCollection<GeoJSON.Geometry, Record<string, string | number | null>>

const ward = (id: string) => `/wards/${encodeURIComponent(id)}`

export const signIn = (login: string, code: string) => call('POST', '/session', { login, code })
export const signOut = () => call('DELETE', '/session')
export const me = () => get<Me>('/me')
export const townMap = () => get<TownMap>('/map')
export const track = async (id: string, date: string) => (await get<{ fixes: Fix[] }>(`${ward(id)}/track?date=${date}`)).fixes
export const events = async (id: string) => (await get<{ events: WardEvent[] }>(`${ward(id)}/events?limit=50`)).events
export const places = async (id: string) => (await get<{ places: WatchedPlace[] }>(`${ward(id)}/places`)).places
export const lookUps = (id: string, before: string | null) =>
  get<{ look_ups: LookUp[]; next: string | null }>(`${ward(id)}/look-ups${before === null ? '' : `?before=${before}`}`)
/** Return where the proof lies that an entry of the log is in it: a file that anybody can check. */
export const proofPath = (entry: string) => `/api/v1/audit/proof/${encodeURIComponent(entry)}`
export const subscribe = (subscription: PushSubscriptionJSON) => call('PUT', '/push-subscription', subscription)
export const unsubscribe = (subscription: PushSubscriptionJSON) => call('DELETE', '/push-subscription', subscription)

/** Return the ward's last place, or null where the tag has not been heard yet. */
export async function place(id: string): Promise<Place | null> {
  try {
    return await get<Place>(`${ward(id)}/place`)
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null
    throw error
  }
}
