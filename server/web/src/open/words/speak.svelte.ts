/** The words of the public page in the language on the screen. */
import { speech } from '../../words/speak.svelte'
import { en } from './en'
import { ja, type OpenWords } from './ja'

export const open = {
  get words(): OpenWords {
    return speech.language === 'ja' ? ja : en
  },
}
