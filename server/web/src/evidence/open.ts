/** Opens a sealed export in the browser, and holds it to its hashes. What is clear never leaves this page's memory. */
import { Decrypter } from 'age-encryption'
import { EvidenceError } from './fault'
import { content, members, ZipError } from './unzip'

export type Part = { file: string; sha256: string; from_ms: number; to_ms: number; frames: number; mask_versions: number[] }
export type Manifest = {
  version: number
  camera: string
  case: string
  export: string
  window: { from_ms: number; to_ms: number }
  parts: Part[]
  gaps: [from_ms: number, to_ms: number, why: string][]
  clock: { is_synced: boolean }
  timestamp: { authority?: string; absent?: string }
}
export type Clip = Part & { film: Blob }
export type Opened = { manifest: Manifest; clips: Clip[] }

const MANIFEST = 'manifest.json'
const MAX_MANIFEST_OCTETS = 32_000_000
const VERSION = 1

export async function sha256(data: ArrayBuffer): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data))
  return Array.from(digest, octet => octet.toString(16).padStart(2, '0')).join('')
}

async function unsealed(sealed: Blob, identity: string): Promise<Blob> {
  const decrypter = new Decrypter()
  decrypter.addIdentity(identity)
  let clear: ReadableStream<Uint8Array>
  try {
    clear = await decrypter.decrypt(sealed.stream())
  } catch (error) {
    throw new EvidenceError('wrong-key', String(error))
  }
  try {
    return await new Response(clear as ReadableStream<Uint8Array<ArrayBuffer>>).blob()
  } catch (error) {
    throw new EvidenceError('broken', String(error))
  }
}

function isManifest(value: unknown): value is Manifest {
  const table = value as Partial<Manifest> | null
  const isPart = (part: Partial<Part> | null) => typeof part?.file === 'string' && /^[0-9a-f]{64}$/.test(part.sha256 ?? '')
  return table?.version === VERSION && Array.isArray(table.parts) && table.parts.every(isPart) && Array.isArray(table.gaps)
}

async function listed(archive: Blob): Promise<Opened> {
  const all = new Map((await members(archive)).map(member => [member.name, member]))
  const named = all.get(MANIFEST)
  if (!named || named.size > MAX_MANIFEST_OCTETS) throw new EvidenceError('broken', 'no manifest')
  const manifest: unknown = JSON.parse(await (await content(archive, named)).text())
  if (!isManifest(manifest)) throw new EvidenceError('broken', 'a manifest of an unknown form')
  const clips: Clip[] = []
  for (const part of manifest.parts) {
    const member = all.get(part.file)
    if (!member) throw new EvidenceError('not-as-listed', `${part.file} is missing`)
    const film = await content(archive, member)
    // One clip at a time: each has at most 96 MB, all of them together may not fit.
    if ((await sha256(await film.arrayBuffer())) !== part.sha256) throw new EvidenceError('not-as-listed', part.file)
    clips.push({ ...part, film: film.slice(0, film.size, 'video/mp4') })
  }
  return { manifest, clips }
}

/** Return what lies in a sealed export, each clip held to the manifest's hash.
 * @param expected SHA-256 of the sealed file as the city has it, hex.
 * @throws EvidenceError where it is another file, another's, broken, or not what its manifest says. */
export async function open(sealed: Blob, expected: string | null, identity: string): Promise<Opened> {
  if (expected && (await sha256(await sealed.arrayBuffer())) !== expected) throw new EvidenceError('not-as-sent')
  const archive = await unsealed(sealed, identity)
  try {
    return await listed(archive)
  } catch (error) {
    if (error instanceof ZipError || error instanceof SyntaxError) throw new EvidenceError('broken', error.message)
    throw error
  }
}
