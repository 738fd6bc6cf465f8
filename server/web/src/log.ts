/** Reads the published audit log in the browser: the same files that anyone may fetch (C2SP tlog-tiles). It verifies nothing. */

export type Checkpoint = { origin: string; size: number; root: string; signers: string[] }
export type Entry = {
  index: number
  kind: string
  at_ms: number
  role: string
  facts: Record<string, string | number | boolean>
}

const WIDTH = 256

/** The log cannot be read. */
export class LogError extends Error {}

/** Return what a checkpoint says, or null where it is none. */
export function parse(note: string): Checkpoint | null {
  const [body = '', signed = ''] = note.split('\n\n')
  const [origin = '', size = '', root = ''] = body.split('\n')
  if (!origin || !/^\d+$/.test(size) || !root) return null
  const signers = signed.split('\n').flatMap(line => /^— (\S+) /.exec(line)?.[1] ?? [])
  return { origin, size: Number(size), root, signers }
}

/** Return whether anybody but the log itself has signed a checkpoint. The names are read, the signatures are not verified. */
export const isWitnessed = ({ origin, signers }: Checkpoint) => signers.some(signer => signer !== origin)

/** Return what to type to verify the log that lies at `site`, with the files that are linked beside it. */
export const command = (point: Checkpoint, site: string) =>
  `mimamori audit verify ${site}/log --key log.vkey${isWitnessed(point) ? ' --policy policy' : ''}`

/** Return the path of the bundle of entries that has number `index`, in a log of `size` entries. */
export function bundlePath(index: number, size: number): string {
  const width = Math.min(WIDTH, size - index * WIDTH)
  const places = [String(index % 1000).padStart(3, '0')]
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) places.unshift(`x${String(rest % 1000).padStart(3, '0')}`)
  return `tile/entries/${places.join('/')}${width < WIDTH ? `.p/${width}` : ''}`
}

/** Return the entries in a bundle: each has its length before it, two octets, the higher first.
 * @throws LogError where it is cut short or holds something else. */
export function entries(bundle: ArrayBuffer, index: number): Entry[] {
  const view = new DataView(bundle)
  const found: Entry[] = []
  for (let at = 0; at < bundle.byteLength; ) {
    if (at + 2 > bundle.byteLength) throw new LogError('a bundle is cut short')
    const length = view.getUint16(at)
    if (at + 2 + length > bundle.byteLength) throw new LogError('a bundle is cut short')
    const text = new TextDecoder().decode(new Uint8Array(bundle, at + 2, length))
    try {
      found.push({ ...(JSON.parse(text) as Omit<Entry, 'index'>), index: index * WIDTH + found.length })
    } catch {
      throw new LogError('an entry is no JSON')
    }
    at += 2 + length
  }
  return found
}

async function file(path: string): Promise<Response> {
  const response = await fetch(`/log/${path}`, { credentials: 'omit' }).catch(() => {
    throw new LogError('no answer')
  })
  if (!response.ok) throw new LogError(`${response.status} ${path}`)
  return response
}

export const checkpoint = async () => (await file('checkpoint')).text()

/** Return the entries of the newest bundle before entry `before`, newest first, and where to go on; null: nowhere.
 * @throws LogError where it cannot be read. */
export async function page(size: number, before: number): Promise<{ entries: Entry[]; next: number | null }> {
  if (before <= 0) return { entries: [], next: null }
  const index = Math.floor((before - 1) / WIDTH)
  const found = entries(await (await file(bundlePath(index, size))).arrayBuffer(), index)
  return { entries: found.filter(entry => entry.index < before).reverse(), next: index > 0 ? index * WIDTH : null }
}
