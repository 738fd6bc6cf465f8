/** An officer's key: an age identity, made in this browser, kept in a file by the officer and nowhere else. */
import { generateX25519Identity, identityToRecipient } from 'age-encryption'

const IDENTITY = /^AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}$/m
const MAX_KEY_FILE_OCTETS = 4_096

export type Key = { identity: string; recipient: string }

/** Return a new key. */
export async function make(): Promise<Key> {
  const identity = await generateX25519Identity()
  return { identity, recipient: await identityToRecipient(identity) }
}

/** Return the key file's text, as `age -i` reads it too. */
export function keyFile(key: Key, comments: readonly string[]): string {
  return [...comments.map(line => `# ${line}`), `# public key: ${key.recipient}`, key.identity, ''].join('\n')
}

/** Return the key in a key file, or null where there is none. */
export async function read(file: Blob): Promise<Key | null> {
  if (file.size > MAX_KEY_FILE_OCTETS) return null
  const identity = IDENTITY.exec((await file.text()).replaceAll('\r', ''))?.[0]
  if (!identity) return null
  try {
    return { identity, recipient: await identityToRecipient(identity) }
  } catch {
    return null // letters of a key, but not its check digits
  }
}
