/** The officer's key while the page is open. It is never stored and never sent. */
import type { Key } from '../evidence/identity'

class Keyring {
  key = $state.raw<Key | null>(null)

  forget(): void {
    this.key = null
  }
}

export const keyring = new Keyring()
