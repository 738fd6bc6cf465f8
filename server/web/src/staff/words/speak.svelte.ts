/** The words of these pages in the language on the screen. */
import type { Named } from '../../api'
import type { Fault, Reason } from '../../http'
import type { Finding } from '../api'
import { speech } from '../../words/speak.svelte'
import { en } from './en'
import { ja, type StaffWords } from './ja'

export const staff = {
  get words(): StaffWords {
    return speech.language === 'ja' ? ja : en
  },
  name: (named: Named): string => speech.name(named),
  label: (camera: { label_ja: string; label_en: string }): string => (speech.language === 'ja' ? camera.label_ja : camera.label_en),
  said: (text: Reason | Finding | Fault): string => (speech.language === 'ja' ? text.ja : text.en),
}
