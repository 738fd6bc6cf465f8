/** The map of cameras, loaded only when it is wanted: circles that can be chosen. */
import 'maplibre-gl/dist/maplibre-gl.css'
import worker from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import { type GeoJSONSource, Map, setWorkerUrl } from 'maplibre-gl'
import type { Language, TownMap } from '../api'
import { extent } from './shapes'
import { label, LABELS, townStyle } from './style'

setWorkerUrl(worker) // see ./view.ts

/** `state`: how the camera is drawn; `mark`: a word in it, such as how often it was used. */
export type Spot = { id: string; lat_deg: number; lon_deg: number; state: 'recording' | 'stopped' | 'chosen'; mark: string }

const REACH_PX = 16 // a finger is no pixel
const EDGE_DEG = 0.004
const NOWHERE: TownMap = { type: 'FeatureCollection', features: [] }
const matched = (chosen: string, stopped: string, other: string) =>
  ['match', ['get', 'state'], 'chosen', chosen, 'stopped', stopped, other] as unknown as string

function collection(spots: readonly Spot[]): GeoJSON.FeatureCollection {
  const feature = ({ id, state, mark, lat_deg, lon_deg }: Spot): GeoJSON.Feature => ({
    type: 'Feature', properties: { id, state, mark }, geometry: { type: 'Point', coordinates: [lon_deg, lat_deg] },
  })
  return { type: 'FeatureCollection', features: spots.map(feature) }
}

export class CameraMap {
  readonly #map: Map
  readonly #choose: (id: string) => void
  #spots: readonly Spot[]
  #loaded = false

  constructor(container: HTMLElement, town: TownMap | null, language: Language, spots: readonly Spot[], choose: (id: string) => void) {
    this.#choose = choose
    this.#spots = spots
    const [west, south, east, north] = extent(spots.length ? collection(spots) : (town ?? NOWHERE))
    this.#map = new Map({
      container,
      style: townStyle(town ?? NOWHERE, language),
      bounds: [west - EDGE_DEG, south - EDGE_DEG, east + EDGE_DEG, north + EDGE_DEG],
      minZoom: 9,
      maxZoom: 18,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      cooperativeGestures: matchMedia('(pointer: coarse)').matches, // one finger scrolls the page past the map
      fadeDuration: 0,
    })
    this.#map.touchZoomRotate.disableRotation()
    this.#map.keyboard.disableRotation()
    this.#map.on('load', () => this.#draw())
    this.#map.on('click', event => this.#clicked(event.point))
    this.#map.on('mousemove', event => {
      this.#map.getCanvas().style.cursor = this.#at(event.point) ? 'pointer' : ''
    })
    this.#map.on('idle', () => {
      document.documentElement.dataset.map = 'ready' // what a test waits for
    })
  }

  show(spots: readonly Spot[]): void {
    this.#spots = spots
    this.#map.getSource<GeoJSONSource>('cameras')?.setData(collection(spots))
  }

  speak(language: Language, accessibleName: string): void {
    this.#map.getCanvas().setAttribute('aria-label', accessibleName)
    if (!this.#loaded) this.#map.once('load', () => this.speak(language, accessibleName))
    else for (const layer of LABELS) this.#map.setLayoutProperty(layer, 'text-field', label(language))
  }

  zoom(by: number): void {
    this.#map.easeTo({ zoom: this.#map.getZoom() + by, duration: 0 })
  }

  remove(): void {
    this.#map.remove()
    delete document.documentElement.dataset.map
  }

  #draw(): void {
    this.#loaded = true
    this.#map.addSource('cameras', { type: 'geojson', data: collection(this.#spots) })
    this.#map.addLayer({
      id: 'cameras', type: 'circle', source: 'cameras',
      paint: {
        'circle-radius': ['interpolate', ['linear'], ['zoom'], 11, 6, 15, 12],
        'circle-color': matched('#0017c1', '#ffffff', '#ffffff'),
        'circle-stroke-color': matched('#ffffff', '#626264', '#0017c1'),
        'circle-stroke-width': 3,
      },
    })
    // The mark tells the states apart without colour.
    this.#map.addLayer({
      id: 'camera-marks', type: 'symbol', source: 'cameras',
      layout: { 'text-field': ['get', 'mark'], 'text-font': ['sans-serif'], 'text-size': 13, 'text-allow-overlap': true, 'text-ignore-placement': true },
      paint: { 'text-color': matched('#ffffff', '#333333', '#0017c1') },
    })
  }

  #at({ x, y }: { x: number; y: number }): string | null {
    if (!this.#map.getLayer('cameras')) return null
    const near = this.#map.queryRenderedFeatures([[x - REACH_PX, y - REACH_PX], [x + REACH_PX, y + REACH_PX]], { layers: ['cameras'] })
    const apart = (feature: GeoJSON.Feature) => {
      const [lon = 0, lat = 0] = (feature.geometry as GeoJSON.Point).coordinates
      const at = this.#map.project([lon, lat])
      return Math.hypot(at.x - x, at.y - y)
    }
    const [nearest] = near.sort((a, b) => apart(a) - apart(b))
    return nearest ? String(nearest.properties['id']) : null
  }

  #clicked(point: { x: number; y: number }): void {
    const id = this.#at(point)
    if (id !== null) this.#choose(id)
  }
}
