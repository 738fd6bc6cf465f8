import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { en as openEn } from '../src/open/words/en'
import { ja as openJa } from '../src/open/words/ja'
import { en } from '../src/words/en'
import { eventText } from '../src/words/event'
import { ja } from '../src/words/ja'

const SCHOOL = { name_ja: 'みまもり小学校', name_en: 'Mimamori Elementary School' }
const event = (kind: 'arrived' | 'departed' | 'sos', place: typeof SCHOOL | null = SCHOOL) =>
  ({ id: 1, kind, place, at_ms: 0, received_at_ms: 0 })

test('both languages have the same keys, of the same kind', () => {
  const kinds = (words: object) => Object.entries(words).map(([key, value]) => `${key}: ${typeof value}`).sort()
  expect(kinds(en)).toEqual(kinds(ja))
})

test('no phrase is empty', () => {
  for (const words of [ja, en]) for (const [key, value] of Object.entries(words)) expect(value, key).toBeTruthy()
})

test('an event is one sentence in either language', () => {
  expect(eventText(event('arrived'), ja, place => place.name_ja)).toBe('みまもり小学校に着きました')
  expect(eventText(event('departed'), ja, place => place.name_ja)).toBe('みまもり小学校を出ました')
  expect(eventText(event('arrived'), en, place => place.name_en)).toBe('Arrived at Mimamori Elementary School')
  expect(eventText(event('sos', null), en, place => place.name_en)).toBe('The SOS button was pressed')
  expect(eventText(event('departed', null), ja, place => place.name_ja)).toBe('登録した場所を出ました')
})

test('ages are said as people say them', () => {
  expect(ja.ago({ unit: 'minutes', count: 12 })).toBe('12分前')
  expect(en.ago({ unit: 'hours', count: 1 })).toBe('1 hour ago')
  expect(en.ago({ unit: 'days', count: 3 })).toBe('3 days ago')
  expect(ja.ago({ unit: 'now', count: 0 })).toBe('たった今')
})

test('the public page has a word for every subject of the policies', () => {
  const subjects = readdirSync('../../privacy/policies').flatMap(name => (name.endsWith('.cedar') ? [name.slice(0, -6)] : [])).sort()
  for (const words of [openEn, openJa]) expect(Object.keys(words.subjects).sort()).toEqual(subjects)
})
