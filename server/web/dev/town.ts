/** A small made-up town for the development server, drawn from a seed. The demo's town comes from firmware_sim. */
import type { TownMap } from '../src/api'

const LON = 139.7
const LAT = 35.55
const PITCH_M = 160
const BLOCKS = 9
const HALF_M = (BLOCKS * PITCH_M) / 2
const ROADS = [['さくら通り', 'Sakura-dori'], ['けやき通り', 'Keyaki-dori'], ['学校通り', 'Gakko-dori'], ['駅前通り', 'Ekimae-dori'], ['中央通り', 'Chuo-dori'], ['公園通り', 'Koen-dori']]
const SPECIAL: Record<string, [string, string, string]> = {
  '4,4': ['school', 'みまもり小学校', 'Mimamori Elementary School'],
  '7,7': ['hall', '市役所', 'City Hall'],
  '5,1': ['station', 'みまもり駅', 'Mimamori Station'],
  '7,5': ['care', '高齢者センター', 'Senior Centre'],
}

type XY = readonly [number, number]
export const lonLat = ([x, y]: XY): [number, number] => [LON + x / (111_320 * Math.cos((LAT * Math.PI) / 180)), LAT + y / 110_940]

function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
}

export function town(): { map: TownMap; grid: XY[][] } {
  const next = random(7)
  const jitter = () => (next() - 0.5) * 44
  const grid = Array.from({ length: BLOCKS + 1 }, (_, i) =>
    Array.from({ length: BLOCKS + 1 }, (_, j): XY => [i * PITCH_M - HALF_M + jitter(), j * PITCH_M - HALF_M + jitter()]))
  const features: TownMap['features'] = []
  const add = (kind: string, geometry: GeoJSON.Geometry, more: Record<string, string> = {}) =>
    features.push({ type: 'Feature', properties: { kind, ...more }, geometry })
  const far = 2 * HALF_M
  add('land', { type: 'Polygon', coordinates: [[[-far, -far], [far, -far], [far, far], [-far, far], [-far, -far]].map(p => lonLat(p as unknown as XY))] })
  const river = Array.from({ length: 21 }, (_, k): XY => [-HALF_M * 1.6 + k * HALF_M * 0.16, -HALF_M * 0.35 + 90 * Math.sin(k * 0.55) + k * 14])
  add('river', { type: 'LineString', coordinates: river.map(lonLat) }, { name_ja: '見守川', name_en: 'Mimamori River' })
  for (let i = 0; i <= BLOCKS; i++) {
    const major = i % 4 === 0
    for (const [n, line] of [grid[i] ?? [], grid.map(column => column[i] as XY)].entries()) {
      const [name_ja = '', name_en = ''] = (major && ROADS[((i / 4) * 2 + n) % ROADS.length]) || []
      add('road', { type: 'LineString', coordinates: line.map(lonLat) }, { class: major ? 'major' : 'minor', name_ja, name_en })
    }
  }
  const at = (i: number, j: number) => (u: number, v: number): [number, number] => {
    const [a, b, c, d] = [grid[i]?.[j], grid[i + 1]?.[j], grid[i + 1]?.[j + 1], grid[i]?.[j + 1]] as [XY, XY, XY, XY]
    const mix = (k: 0 | 1) => (1 - u) * (1 - v) * a[k] + u * (1 - v) * b[k] + u * v * c[k] + (1 - u) * v * d[k]
    return lonLat([mix(0), mix(1)])
  }
  for (let i = 0; i < BLOCKS; i++) {
    for (let j = 0; j < BLOCKS; j++) {
      const q = at(i, j)
      const box = (u0: number, v0: number, u1: number, v1: number): GeoJSON.Polygon => ({ type: 'Polygon', coordinates: [[q(u0, v0), q(u1, v0), q(u1, v1), q(u0, v1), q(u0, v0)]] })
      const special = SPECIAL[`${i},${j}`]
      if ((i === 2 && j === 6) || (i === 6 && j === 3)) {
        add('park', box(0.08, 0.08, 0.92, 0.92), i === 2 ? { name_ja: 'さくら公園', name_en: 'Sakura Park' } : { name_ja: 'けやき公園', name_en: 'Keyaki Park' })
      } else if (special) {
        add('building', box(0.2, 0.3, 0.8, 0.75), { use: special[0] })
        add('poi', { type: 'Point', coordinates: q(0.5, 0.5) }, { use: special[0], name_ja: special[1], name_en: special[2] })
      } else {
        for (let n = 0; n < 12; n++) {
          if (next() < 0.12) continue
          const [u, v] = [0.1 + (n % 4) * 0.21, 0.12 + Math.floor(n / 4) * 0.27]
          add('building', box(u, v, u + 0.11 + next() * 0.06, v + 0.14 + next() * 0.07), { use: 'house' })
        }
      }
    }
  }
  return { map: { type: 'FeatureCollection', features }, grid }
}
