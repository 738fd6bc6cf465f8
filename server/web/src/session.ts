/** Whether this device signed in: a mark only, so that a first visit need not ask the server. The session is a cookie we cannot read. */

const KEY = 'mimamori.signed-in'

export function mayBeSignedIn(): boolean {
  try {
    return localStorage.getItem(KEY) !== null
  } catch {
    return true // storage is blocked: only the server knows
  }
}

export function remember(isSignedIn: boolean): void {
  try {
    if (isSignedIn) localStorage.setItem(KEY, '1')
    else localStorage.removeItem(KEY)
  } catch {
    // as above
  }
}
