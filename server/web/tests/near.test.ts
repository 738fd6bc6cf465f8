import { expect, test } from 'vitest'
import type { TownMap, WatchedPlace } from '../src/api'
import { circle, extent } from '../src/map/shapes'
import { distanceM, nearness } from '../src/near'

const named = (name: string) => ({ name_ja: name, name_en: name })
const feature = (geometry: GeoJSON.Geometry, name: string | null): TownMap['features'][number] =>
  ({ type: 'Feature', properties: { kind: 'poi', ...(name && named(name)) }, geometry })
const MAP: TownMap = {
  type: 'FeatureCollection',
  features: [
    feature({ type: 'Point', coordinates: [139.7, 35.55] }, 'School'),
    feature({ type: 'LineString', coordinates: [[139.69, 35.551], [139.72, 35.551]] }, 'Main Street'),
    feature({ type: 'LineString', coordinates: [[139.69, 35.5505], [139.72, 35.5505]] }, null),
  ],
}
const HOME: WatchedPlace = { ...named('Home'), id: 'h', kind: 'home', lat_deg: 35.5502, lon_deg: 139.7, radius_m: 40 }

test('a metre is a metre, along both axes', () => {
  const at = { lat_deg: 35.55, lon_deg: 139.7 }
  expect(distanceM(at, [{ lat_deg: 35.551, lon_deg: 139.7 }])).toBeCloseTo(111.3, 0)
  expect(distanceM(at, [{ lat_deg: 35.55, lon_deg: 139.701 }])).toBeCloseTo(90.6, 0)
})

test('the nearest landmark or place of one’s own is named before any road', () => {
  const at = { lat_deg: 35.5502, lon_deg: 139.7 }
  expect(nearness(MAP, [])(at)?.name_en).toBe('School')
  expect(nearness(MAP, [HOME])(at)?.name_en).toBe('Home')
})

test('far from every landmark the road is named, and far from all nothing is', () => {
  expect(nearness(MAP, [])({ lat_deg: 35.5512, lon_deg: 139.715 })?.name_en).toBe('Main Street')
  expect(nearness(MAP, [])({ lat_deg: 35.56, lon_deg: 139.71 })).toBeNull()
  expect(nearness(null, [])({ lat_deg: 35.55, lon_deg: 139.7 })).toBeNull()
})

test('the accuracy circle is closed and has its radius everywhere', () => {
  const centre = { lat_deg: 35.55, lon_deg: 139.7 }
  const ring = circle(centre, 50).geometry.coordinates[0] ?? []
  expect(ring[0]).toEqual(ring.at(-1))
  for (const [lon_deg = 0, lat_deg = 0] of ring) expect(distanceM(centre, [{ lat_deg, lon_deg }])).toBeCloseTo(50, 0)
})

test('the extent holds everything on the map', () => {
  expect(extent(MAP)).toEqual([139.69, 35.55, 139.72, 35.551])
})
