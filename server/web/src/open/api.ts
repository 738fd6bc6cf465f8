/** What everybody may ask the server. */
import type { Named, TownMap } from '../api'
import { get } from '../http'
import type { Purpose } from '../staff/api'

export type Use = 'under_3' | '3_to_9' | '10_to_29' | 'from_30'
export type OpenCamera = {
  id: string
  label_ja: string
  label_en: string
  place: string
  lat_deg: number
  lon_deg: number
  live_from_ms: number
  sign_on: string | null
  noticed_on: string | null
  purposes: Purpose[]
  used: Use
}
export type OpenCameras = { city: Named; tz: string; retention_days: number; cameras: OpenCamera[] }
export type OpenPolicy = { id: string; subject: string; is_permit: boolean; article: string; ja: string; en: string }
export type OpenPolicies = { digest: string; policies: OpenPolicy[] }
export type Release = { day: string; hours: number[]; released: number }

export const cameras = () => get<OpenCameras>('/open/cameras')
export const town = () => get<TownMap>('/open/map')
export const policies = () => get<OpenPolicies>('/open/policies')
export const years = async () => (await get<{ years: number[] }>('/reports')).years
export const releases = async () => (await get<{ releases: Release[] }>('/statistics/releases?limit=14')).releases
