/** The map itself: MapLibre, loaded only when a map is wanted (`await import('./map/view')`). */
import 'maplibre-gl/dist/maplibre-gl.css'
import worker from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import { type GeoJSONSource, Map, Marker, setWorkerUrl } from 'maplibre-gl'
import type { Fix, Language, TownMap } from '../api'
import { circle, extent, path, spot } from './shapes'
import { EMPTY, label, LABELS, townStyle } from './style'

setWorkerUrl(worker) // a bundled MapLibre 6 cannot find its worker by itself: `load` would never fire

const STREET_ZOOM = 15.6
const GLIDE_MS = 600

export type Pin = { id: string; name: string; at: Fix; selected: boolean; faded: boolean }
export type Scene = { pins: Pin[]; track: Fix[] }
export type Callbacks = { select(id: string): void; moved(byHand: boolean): void }
export type Margins = { top: number; bottom: number; left: number; right: number }

const mayMove = () => !matchMedia('(prefers-reduced-motion: reduce)').matches

export class MapView {
  readonly #map: Map
  readonly #markers: Record<string, Marker> = {}
  readonly #callbacks: Callbacks
  #scene: Scene = { pins: [], track: [] }
  #follows = true
  #loaded = false

  constructor(container: HTMLElement, town: TownMap, language: Language, callbacks: Callbacks) {
    this.#callbacks = callbacks
    this.#map = new Map({
      container,
      style: townStyle(town, language),
      bounds: extent(town),
      minZoom: 11,
      maxZoom: 18,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: mayMove() ? 200 : 0,
    })
    this.#map.touchZoomRotate.disableRotation()
    this.#map.keyboard.disableRotation()
    this.#map.on('dragstart', () => this.#letGo())
    this.#map.on('zoomstart', event => event.originalEvent && this.#letGo())
    this.#map.on('load', () => {
      this.#loaded = true
      this.#draw()
    })
    this.#map.on('idle', () => {
      document.documentElement.dataset.map = 'ready' // what a test waits for
    })
  }

  show(scene: Scene): void {
    const first = this.#scene.pins.length === 0
    const before = this.#selected()
    this.#scene = scene
    this.#place()
    if (this.#loaded) this.#draw()
    const now = this.#selected()
    if (now && (first || before?.id !== now.id)) this.recentre(!first)
    else if (now && this.#follows && this.#isNearEdge(now)) this.recentre(true)
  }

  /** Bring the selected ward to the middle of what the sheet leaves free, and follow from now on. */
  recentre(glide = true): void {
    const pin = this.#selected()
    if (!pin) return
    this.#follows = true
    this.#callbacks.moved(false)
    const camera = { center: [pin.at.lon_deg, pin.at.lat_deg] as [number, number], zoom: Math.max(this.#map.getZoom(), STREET_ZOOM) }
    if (glide && mayMove()) this.#map.easeTo({ ...camera, duration: GLIDE_MS })
    else this.#map.jumpTo(camera)
  }

  zoom(by: number): void {
    this.#map.easeTo({ zoom: this.#map.getZoom() + by, duration: mayMove() ? 200 : 0 })
  }

  speak(language: Language, accessibleName: string): void {
    this.#map.getCanvas().setAttribute('aria-label', accessibleName)
    if (!this.#loaded) this.#map.once('load', () => this.speak(language, accessibleName))
    else for (const layer of LABELS) this.#map.setLayoutProperty(layer, 'text-field', label(language))
  }

  setMargins(margins: Margins): void {
    this.#map.setPadding(margins)
    if (this.#follows) this.recentre(false)
  }

  remove(): void {
    this.#map.remove()
    delete document.documentElement.dataset.map
  }

  #letGo(): void {
    this.#follows = false
    this.#callbacks.moved(true)
  }

  #selected(): Pin | undefined {
    return this.#scene.pins.find(pin => pin.selected)
  }

  /** Whether the pin has left the middle two thirds of the free part of the map. */
  #isNearEdge(pin: Pin): boolean {
    const { x, y } = this.#map.project([pin.at.lon_deg, pin.at.lat_deg])
    const { top = 0, bottom = 0, left = 0, right = 0 } = this.#map.getPadding()
    const { clientWidth, clientHeight } = this.#map.getContainer()
    const [width, height] = [clientWidth - left - right, clientHeight - top - bottom]
    const across = (x - left) / width
    const down = (y - top) / height
    return Math.abs(across - 0.5) > 1 / 3 || Math.abs(down - 0.5) > 1 / 3
  }

  #place(): void {
    const shown = new Set(this.#scene.pins.map(pin => pin.id))
    for (const id of Object.keys(this.#markers).filter(id => !shown.has(id))) {
      this.#markers[id]?.remove()
      delete this.#markers[id]
    }
    for (const pin of this.#scene.pins) {
      const marker = (this.#markers[pin.id] ??= this.#marker(pin))
      const element = marker.getElement()
      element.textContent = pin.name
      element.setAttribute('aria-label', pin.name)
      element.setAttribute('aria-pressed', String(pin.selected))
      element.classList.toggle('faded', pin.faded)
      marker.setLngLat([pin.at.lon_deg, pin.at.lat_deg]).addTo(this.#map)
    }
  }

  #marker(pin: Pin): Marker {
    const element = document.createElement('button')
    element.type = 'button'
    element.className = 'pin'
    element.addEventListener('click', () => this.#callbacks.select(pin.id))
    return new Marker({ element, anchor: 'bottom', offset: [0, -12] })
  }

  #draw(): void {
    const at = this.#selected()?.at
    const fill = (id: string, data: GeoJSON.GeoJSON) => this.#map.getSource<GeoJSONSource>(id)?.setData(data)
    fill('accuracy', at ? circle(at, at.accuracy_m) : EMPTY)
    fill('spot', at ? spot(at) : EMPTY)
    fill('track', this.#scene.track.length > 1 ? path(this.#scene.track) : EMPTY)
  }
}
