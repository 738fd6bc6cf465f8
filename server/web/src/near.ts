/** Which named thing of the map a point is near. */
import type { Named, TownMap, WatchedPlace } from './api'

const EARTH_M_PER_DEG = 111_320
const NEAR_M = 150
const NEAR_ROAD_M = 60

type Point = { lat_deg: number; lon_deg: number }
type Landmark = { named: Named; line: Point[]; reachM: number }

const point = ([lon_deg = 0, lat_deg = 0]: number[]): Point => ({ lat_deg, lon_deg })

function named(properties: Record<string, unknown> | null): Named | null {
  const { name_ja, name_en } = properties ?? {}
  if (typeof name_ja !== 'string' || !name_ja) return null
  return { name_ja, name_en: typeof name_en === 'string' && name_en ? name_en : name_ja }
}

function landmark(feature: TownMap['features'][number]): Landmark | null {
  const name = named(feature.properties)
  if (!name) return null
  const { geometry } = feature
  if (geometry.type === 'Point') return { named: name, line: [point(geometry.coordinates)], reachM: NEAR_M }
  if (geometry.type === 'LineString') return { named: name, line: geometry.coordinates.map(point), reachM: NEAR_ROAD_M }
  if (geometry.type === 'Polygon') return { named: name, line: (geometry.coordinates[0] ?? []).map(point), reachM: NEAR_ROAD_M }
  return null
}

/** Return metres from `at` to the segment a-b on a plane, good to 1 % over a town. */
function segmentM(at: Point, a: Point, b: Point): number {
  const perLon = EARTH_M_PER_DEG * Math.cos((at.lat_deg * Math.PI) / 180)
  const flat = (p: Point) => [(p.lon_deg - at.lon_deg) * perLon, (p.lat_deg - at.lat_deg) * EARTH_M_PER_DEG] as const
  const [ax, ay] = flat(a)
  const [bx, by] = flat(b)
  const length2 = (bx - ax) ** 2 + (by - ay) ** 2
  const along = length2 ? Math.min(1, Math.max(0, -(ax * (bx - ax) + ay * (by - ay)) / length2)) : 0
  return Math.hypot(ax + along * (bx - ax), ay + along * (by - ay))
}

export function distanceM(at: Point, line: Point[]): number {
  return Math.min(...line.map((start, i) => segmentM(at, start, line[i + 1] ?? start)))
}

/** Return a function that names what a point is near: the ward's own places first, then landmarks, then roads. */
export function nearness(map: TownMap | null, own: readonly WatchedPlace[]): (at: Point) => Named | null {
  const all = (map?.features ?? []).map(landmark).filter(found => found !== null)
  const places = own.map(place => ({ named: place, line: [place], reachM: Math.max(place.radius_m, 40) }))
  const tiers = [places, all.filter(mark => mark.reachM === NEAR_M), all.filter(mark => mark.reachM === NEAR_ROAD_M)]
  const known = new WeakMap<Point, Named | null>() // a track is described anew with each of its fixes
  return at => {
    if (!known.has(at)) known.set(at, nearest(tiers, at))
    return known.get(at) ?? null
  }
}

function nearest(tiers: Landmark[][], at: Point): Named | null {
  for (const tier of tiers) {
    const reached = tier.map(mark => ({ mark, m: distanceM(at, mark.line) })).filter(({ mark, m }) => m <= mark.reachM)
    if (reached.length) return reached.reduce((best, next) => (next.m < best.m ? next : best)).mark.named
  }
  return null
}
