/** How the town looks. Every label is drawn with the device's own fonts: there is no glyph server to ask. */
import type { ExpressionSpecification, StyleSpecification } from 'maplibre-gl'
import type { Language, TownMap } from '../api'

const kind = (name: string): ExpressionSpecification => ['==', ['get', 'kind'], name]
const isMajor: ExpressionSpecification = ['==', ['coalesce', ['get', 'class'], ['get', 'cls'], ''], 'major']
const use: ExpressionSpecification = ['coalesce', ['get', 'use'], ['get', 'class'], 'house']

const isPark: ExpressionSpecification = ['==', ['coalesce', use, ''], 'park']

const width = (at12: number, minor: number, major: number): ExpressionSpecification => [
  'interpolate', ['exponential', 1.6], ['zoom'], 12, at12, 18, ['case', isMajor, major, minor],
]

export const label = (language: Language): ExpressionSpecification => [
  'coalesce', ['get', `name_${language}`], ['get', 'name_ja'], '',
]

/** Layers whose labels follow the language. */
export const LABELS = ['road-name', 'river-name', 'park-name', 'poi'] as const

export function townStyle(town: TownMap, language: Language): StyleSpecification {
  const text = { 'text-field': label(language), 'text-font': ['sans-serif'] }
  return {
    version: 8,
    sources: {
      town: { type: 'geojson', data: town, maxzoom: 16 },
      accuracy: { type: 'geojson', data: EMPTY },
      track: { type: 'geojson', data: EMPTY },
      spot: { type: 'geojson', data: EMPTY },
    },
    layers: [
      { id: 'background', type: 'background', paint: { 'background-color': '#ece8dd' } },
      { id: 'land', type: 'fill', source: 'town', filter: kind('land'), paint: { 'fill-color': '#f4f1ea' } },
      { id: 'park', type: 'fill', source: 'town', filter: kind('park'), paint: { 'fill-color': '#cfe8c9' } },
      { id: 'river-area', type: 'fill', source: 'town', filter: ['all', kind('river'), ['==', ['geometry-type'], 'Polygon']], paint: { 'fill-color': '#a8cdea' } },
      { id: 'river', type: 'line', source: 'town', filter: ['all', kind('river'), ['==', ['geometry-type'], 'LineString']], layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': '#a8cdea', 'line-width': ['interpolate', ['exponential', 2], ['zoom'], 12, 2, 18, 100] } },
      { id: 'building', type: 'fill', source: 'town', filter: kind('building'), minzoom: 14, paint: { 'fill-color': ['match', use, ['house', ''], '#e4ddcf', '#e8c9b5'], 'fill-outline-color': '#cfc6b4' } },
      { id: 'road-case', type: 'line', source: 'town', filter: kind('road'), layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': '#d9d4c7', 'line-width': width(1, 16, 26) } },
      { id: 'road', type: 'line', source: 'town', filter: kind('road'), layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': '#fff', 'line-width': width(0.5, 12, 22) } },
      { id: 'accuracy', type: 'fill', source: 'accuracy', paint: { 'fill-color': '#0017c1', 'fill-opacity': 0.14 } },
      { id: 'accuracy-edge', type: 'line', source: 'accuracy', paint: { 'line-color': '#0017c1', 'line-width': 1.5, 'line-opacity': 0.6 } },
      { id: 'track', type: 'line', source: 'track', layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': '#0017c1', 'line-width': 5, 'line-dasharray': [0.1, 1.9] } },
      { id: 'road-name', type: 'symbol', source: 'town', filter: kind('road'), layout: { ...text, 'symbol-placement': 'line', 'text-size': 12 }, paint: { 'text-color': '#5c5648', 'text-halo-color': '#fff', 'text-halo-width': 1.5 } },
      { id: 'river-name', type: 'symbol', source: 'town', filter: kind('river'), layout: { ...text, 'symbol-placement': 'line', 'text-size': 12 }, paint: { 'text-color': '#1f4e79', 'text-halo-color': '#dcecf8', 'text-halo-width': 1.5 } },
      { id: 'park-name', type: 'symbol', source: 'town', filter: ['any', kind('park'), ['all', kind('poi'), isPark]], layout: { ...text, 'text-size': 12 }, paint: { 'text-color': '#2b5a2b', 'text-halo-color': '#e9f5e6', 'text-halo-width': 1.5 } },
      { id: 'poi', type: 'symbol', source: 'town', filter: ['all', kind('poi'), ['!', isPark]], layout: { ...text, 'text-size': 14, 'text-padding': 4, 'text-anchor': 'top', 'text-offset': [0, 0.7] }, paint: { 'text-color': '#333', 'text-halo-color': '#fff', 'text-halo-width': 2 } },
      { id: 'spot', type: 'circle', source: 'spot', paint: { 'circle-radius': 7, 'circle-color': '#0017c1', 'circle-stroke-color': '#fff', 'circle-stroke-width': 3 } },
    ],
  }
}

export const EMPTY: GeoJSON.FeatureCollection = { type: 'FeatureCollection', features: [] }
