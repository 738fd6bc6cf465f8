/** GeoJSON of what moves on the map. Pure. GeoJSON's order is longitude, latitude. */
import type { Fix } from '../api'

const M_PER_DEG = 111_320
const CORNERS = 64

type Point = { lat_deg: number; lon_deg: number }

/** Return a polygon `radiusM` metres round a point, good to 1 % at the sizes a town has. */
export function circle(centre: Point, radiusM: number): GeoJSON.Feature<GeoJSON.Polygon> {
  const perLon = M_PER_DEG * Math.cos((centre.lat_deg * Math.PI) / 180)
  const corner = (n: number) => {
    const angle = (2 * Math.PI * (n % CORNERS)) / CORNERS
    return [centre.lon_deg + (radiusM * Math.cos(angle)) / perLon, centre.lat_deg + (radiusM * Math.sin(angle)) / M_PER_DEG]
  }
  const ring = Array.from({ length: CORNERS + 1 }, (_, n) => corner(n))
  return { type: 'Feature', properties: {}, geometry: { type: 'Polygon', coordinates: [ring] } }
}

export function spot(at: Point): GeoJSON.Feature<GeoJSON.Point> {
  return { type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates: [at.lon_deg, at.lat_deg] } }
}

export function path(track: readonly Fix[]): GeoJSON.Feature<GeoJSON.LineString> {
  const coordinates = track.map(fix => [fix.lon_deg, fix.lat_deg])
  return { type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } }
}

/** Return [west, south, east, north] of everything in the collection. */
export function extent(collection: GeoJSON.FeatureCollection): [number, number, number, number] {
  const box: [number, number, number, number] = [180, 90, -180, -90]
  const visit = (coordinates: unknown): void => {
    if (!Array.isArray(coordinates)) return
    const [lon, lat] = coordinates as unknown[]
    if (typeof lon !== 'number' || typeof lat !== 'number') return coordinates.forEach(visit)
    box[0] = Math.min(box[0], lon)
    box[1] = Math.min(box[1], lat)
    box[2] = Math.max(box[2], lon)
    box[3] = Math.max(box[3], lat)
  }
  for (const { geometry } of collection.features) if ('coordinates' in geometry) visit(geometry.coordinates)
  return box
}
