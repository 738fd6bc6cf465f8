/** Ways to sign in, passkeys and sessions of the account. Times are UTC milliseconds of the wall clock. */
import type { Account, Named, Role } from './api'
import { ApiError, call, get } from './http'

export type Ways = { passkey: boolean; code: boolean; oidc: (Named & { id: string })[] }
export type SessionState = { account: Account; is_enrolling: boolean; is_fresh: boolean; passkeys: number }
export type Passkey = { id: string; name: string; created_at_ms: number; last_used_at_ms: number | null }
export type OpenSession = { id: string; way: 'code' | 'card' | 'passkey' | 'oidc'; created_at_ms: number; used_at_ms: number; is_this: boolean }
type Options = { options: Record<string, unknown> }

const FAMILY: readonly Role[] = ['guardian', 'watched', 'volunteer']
const CARD = /^#card=([A-Za-z0-9-]{1,128})$/

export const isFamily = (account: Account) => FAMILY.includes(account.role)
export const ways = () => get<Ways>('/sign-in-ways')
export const session = () => get<SessionState>('/session')
export const useCard = (code: string) => call('POST', '/cards', { code })
export const passkeys = async () => (await get<{ passkeys: Passkey[] }>('/passkeys')).passkeys
export const sessions = async () => (await get<{ sessions: OpenSession[] }>('/sessions')).sessions
export const endSession = (id: string) => call('DELETE', `/sessions/${id}`)
export const removePasskey = (id: string) => call('DELETE', `/passkeys/kept/${id}`)
export const takeCode = async () => (await (await call('POST', '/me/code')).json()) as { login: string; code: string }

/** Return the code of an enrolment card that was scanned, and take it out of the address: it opens a door once. */
export function scannedCard(): string | null {
  const code = CARD.exec(location.hash)?.[1] ?? null
  if (code) history.replaceState(null, '', location.pathname)
  return code
}

/** Whether this browser, at this address, can make and show passkeys. */
export function hasPasskeys(): boolean {
  return typeof PublicKeyCredential === 'function' && typeof PublicKeyCredential.parseRequestOptionsFromJSON === 'function'
}

/** Make a passkey for the account that is signed in, or whose card was used, and sign in with it.
 * @throws DOMException where the browser or its user says no; ApiError where the server does. */
export async function makePasskey(name: string): Promise<void> {
  const { options } = (await (await call('POST', '/passkeys/registration')).json()) as Options
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options as unknown as PublicKeyCredentialCreationOptionsJSON)
  const made = (await navigator.credentials.create({ publicKey })) as PublicKeyCredential
  await call('PUT', '/passkeys/registration', { credential: made.toJSON(), name })
}

/** Show a passkey: signs its owner in, or, where they are signed in, says once more that it is they.
 * @throws as makePasskey. */
export async function showPasskey(): Promise<void> {
  const { options } = (await (await call('POST', '/passkeys/assertion')).json()) as Options
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options as unknown as PublicKeyCredentialRequestOptionsJSON)
  const shown = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential
  await call('PUT', '/passkeys/assertion', { credential: shown.toJSON() })
}

/** Do something; where the server wants to see a passkey first, show it and do it again. */
export async function stepUp<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 'step-up')) throw error
    await showPasskey()
    return work()
  }
}

/** Whether somebody closed the browser's own window instead of showing a passkey. */
export const isCancelled = (error: unknown) => error instanceof DOMException && (error.name === 'NotAllowedError' || error.name === 'AbortError')
