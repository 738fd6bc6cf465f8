/** Which named thing of the map a point is near. */
import type { Named, TownMap, WatchedPlace } from './api'

const EARTH_M_PER_DEG = 111_320
/** As the server has it for a last place. */
const NEAR_M = 250
const NEAR_ROAD_M = 60

type Point = { lat_deg: number; lon_deg: number }
type Landmark = { named: Named; line: Point[]; isRoad: boolean; radiusM: number }

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
  if (geometry.type === 'Point') return { named: name, line: [point(geometry.coordinates)], isRoad: false, radiusM: 0 }
  if (geometry.type === 'LineString') return { named: name, line: geometry.coordinates.map(point), isRoad: true, radiusM: 0 }
  return null // a named area has its point of interest
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

/** Return a function that names what a point is near: the nearest place or landmark, else a street or river. */
export function nearness(map: TownMap | null, own: readonly WatchedPlace[]): (at: Point) => Named | null {
  const all = (map?.features ?? []).map(landmark).filter(found => found !== null)
  const places = own.map(place => ({ named: place, line: [place], isRoad: false, radiusM: place.radius_m }))
  const landmarks = [...places, ...all.filter(mark => !mark.isRoad)]
  const roads = all.filter(mark => mark.isRoad)
  const known = new WeakMap<Point, Named | null>() // a track is described anew with each of its fixes
  return at => {
    if (!known.has(at)) known.set(at, nearest(landmarks, at, NEAR_M) ?? nearest(roads, at, NEAR_ROAD_M))
    return known.get(at) ?? null
  }
}

function nearest(marks: readonly Landmark[], at: Point, withinM: number): Named | null {
  let best: Named | null = null
  let bestM = withinM
  for (const mark of marks) {
    const awayM = Math.max(0, distanceM(at, mark.line) - mark.radiusM)
    if (awayM < bestM) [best, bestM] = [mark.named, awayM]
  }
  return best
}
