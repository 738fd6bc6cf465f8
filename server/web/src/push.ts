/** Web Push: this device's subscription. */
import * as api from './api'

export type PushState = 'unsupported' | 'denied' | 'off' | 'on'

const SUBSCRIBE_TIMEOUT_MS = 15_000

function keyBytes(base64url: string): Uint8Array<ArrayBuffer> {
  const binary = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(binary, character => character.charCodeAt(0))
}

export async function pushState(): Promise<PushState> {
  if (!('serviceWorker' in navigator) || !('PushManager' in window) || !('Notification' in window)) return 'unsupported'
  if (Notification.permission === 'denied') return 'denied'
  const registration = await navigator.serviceWorker.getRegistration()
  return (await registration?.pushManager.getSubscription()) ? 'on' : 'off'
}

/** Subscribe this device. Must be called from a tap. Rejects where the browser's push service does not answer. */
export async function turnOn(publicKey: string): Promise<PushState> {
  if ((await Notification.requestPermission()) !== 'granted') return pushState()
  const registration = await navigator.serviceWorker.ready
  const subscription = await Promise.race([
    registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: keyBytes(publicKey) }),
    new Promise<never>((_, reject) => setTimeout(() => reject(new Error('push service did not answer')), SUBSCRIBE_TIMEOUT_MS)),
  ])
  try {
    await api.subscribe(subscription.toJSON())
  } catch (error) {
    await subscription.unsubscribe()
    throw error
  }
  return 'on'
}

export async function turnOff(): Promise<PushState> {
  const registration = await navigator.serviceWorker.getRegistration()
  const subscription = await registration?.pushManager.getSubscription()
  if (!subscription) return 'off'
  await api.unsubscribe(subscription.toJSON())
  await subscription.unsubscribe()
  return 'off'
}
