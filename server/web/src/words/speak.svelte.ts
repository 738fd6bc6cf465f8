/** The language on the screen: Japanese until someone chooses otherwise, then remembered. */
import type { Language, Named } from '../api'
import { en } from './en'
import { ja, type Words } from './ja'

const KEY = 'mimamori.language'

function remembered(): Language | null {
  try {
    const saved = localStorage.getItem(KEY)
    return saved === 'ja' || saved === 'en' ? saved : null
  } catch {
    return null // storage may be blocked; the choice then lasts as long as the page
  }
}

class Speech {
  language = $state<Language>(remembered() ?? 'ja')

  get words(): Words {
    return this.language === 'ja' ? ja : en
  }

  name(named: Named): string {
    return this.language === 'ja' ? named.name_ja : named.name_en
  }

  choose(language: Language): void {
    this.language = language
    try {
      localStorage.setItem(KEY, language)
    } catch {
      // as above
    }
  }

  /** Take the guardian's language, unless this device has its own. */
  suggest(language: Language): void {
    this.language = remembered() ?? language
  }
}

export const speech = new Speech()
