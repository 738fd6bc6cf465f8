/** An event in one sentence. */
import type { Named, WardEvent } from '../api'
import type { Words } from './ja'

export function eventText(event: WardEvent, words: Words, name: (named: Named) => string): string {
  if (event.kind === 'sos') return words.sosEvent
  const place = event.place ? name(event.place) : words.unknownPlace
  return event.kind === 'arrived' ? words.arrived(place) : words.departed(place)
}
