import { Encrypter } from 'age-encryption'
import { describe, expect, it } from 'vitest'
import { EvidenceError } from '../src/evidence/fault'
import { keyFile, make, read } from '../src/evidence/identity'
import { open, sha256 } from '../src/evidence/open'
import { content, members, ZipError } from '../src/evidence/unzip'

const text = new TextEncoder()

/** A ZIP as a writer makes it that cannot go back: sizes stand behind each member and in the directory. */
function zip(files: Record<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const [parts, directory]: [Uint8Array[], Uint8Array[]] = [[], []]
  let at = 0
  const put = (list: Uint8Array[], ...octets: Uint8Array[]) => octets.forEach(one => list.push(one))
  const numbers = (...fields: [value: number, octets: number][]) => {
    const out = new DataView(new ArrayBuffer(fields.reduce((sum, [, octets]) => sum + octets, 0)))
    let place = 0
    for (const [value, octets] of fields) {
      if (octets === 2) out.setUint16(place, value, true)
      else out.setUint32(place, value, true)
      place += octets
    }
    return new Uint8Array(out.buffer)
  }
  for (const [name, data] of Object.entries(files)) {
    const title = text.encode(name)
    const local = numbers([0x04034b50, 4], [20, 2], [8, 2], [0, 2], [0, 4], [0, 4], [0, 4], [0, 4], [title.length, 2], [0, 2])
    const behind = numbers([0x08074b50, 4], [0, 4], [data.length, 4], [data.length, 4])
    put(parts, local, title, data, behind)
    put(directory, numbers([0x02014b50, 4], [20, 2], [20, 2], [8, 2], [0, 2], [0, 4], [0, 4], [data.length, 4], [data.length, 4], [title.length, 2], [0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), title)
    at += local.length + title.length + data.length + behind.length
  }
  const size = directory.reduce((sum, one) => sum + one.length, 0)
  const count = Object.keys(files).length
  const all = [...parts, ...directory, numbers([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [at, 4], [0, 2])]
  const out = new Uint8Array(all.reduce((sum, one) => sum + one.length, 0))
  let place = 0
  for (const one of all) {
    out.set(one, place)
    place += one.length
  }
  return out
}

const FILM = text.encode('not really a film')

async function archive(change: (manifest: Record<string, unknown>) => void = () => {}): Promise<Uint8Array<ArrayBuffer>> {
  const part = { file: 'clip-001.mp4', sha256: await sha256(FILM.buffer as ArrayBuffer), from_ms: 0, to_ms: 1000, frames: 5, mask_versions: [1], seconds: [] }
  const manifest = { version: 1, camera: 'gw-1', case: '2026-0001', export: 'e-1', window: { from_ms: 0, to_ms: 1000 }, parts: [part], gaps: [], clock: { is_synced: true }, timestamp: {} }
  change(manifest)
  return zip({ 'clip-001.mp4': FILM, 'manifest.json': text.encode(JSON.stringify(manifest)), '読んでください.txt': text.encode('…') })
}

async function sealed(data: Uint8Array, recipient: string): Promise<Blob> {
  const encrypter = new Encrypter()
  encrypter.addRecipient(recipient)
  return new Blob([(await encrypter.encrypt(data)) as Uint8Array<ArrayBuffer>])
}

const fault = (promise: Promise<unknown>) => promise.then(() => 'opened', error => (error instanceof EvidenceError ? error.fault : error))

describe('an archive', () => {
  it('gives back its members, their names in Japanese too', async () => {
    const file = new Blob([zip({ 'a.txt': text.encode('one'), '読んでください.txt': text.encode('二') })])
    const found = await members(file)
    expect(found.map(member => member.name)).toEqual(['a.txt', '読んでください.txt'])
    expect(await (await content(file, found[1]!)).text()).toBe('二')
  })

  it('that is cut off anywhere is refused, never read as a shorter one', async () => {
    const whole = zip({ 'a.txt': text.encode('one'), 'b.txt': text.encode('two') })
    for (let octets = 0; octets < whole.length; octets++) await expect(members(new Blob([whole.slice(0, octets)]))).rejects.toThrow(ZipError)
  })

  it('with a compressed member is refused', async () => {
    const file = zip({ 'a.txt': text.encode('one') })
    const at = file.findIndex((_, n) => file[n] === 0x50 && file[n + 1] === 0x4b && file[n + 2] === 1 && file[n + 3] === 2)
    file[at + 10] = 8
    await expect(members(new Blob([file]))).rejects.toThrow('compressed')
  })
})

describe('a sealed export', () => {
  it('opens with the key it was sealed to, and its clips are those of the manifest', async () => {
    const key = await make()
    const file = await sealed(await archive(), key.recipient)
    const opened = await open(file, await sha256(await file.arrayBuffer()), key.identity)
    expect(opened.manifest.case).toBe('2026-0001')
    expect(await opened.clips[0]?.film.text()).toBe('not really a film')
    expect(opened.clips[0]?.film.type).toBe('video/mp4')
  })

  it('does not open with another key', async () => {
    const [key, other] = [await make(), await make()]
    expect(await fault(open(await sealed(await archive(), key.recipient), null, other.identity))).toBe('wrong-key')
  })

  it('that is not the file the city has on record is not even opened', async () => {
    const key = await make()
    expect(await fault(open(await sealed(await archive(), key.recipient), '0'.repeat(64), key.identity))).toBe('not-as-sent')
  })

  it('with one flipped bit is found broken', async () => {
    const key = await make()
    const octets = new Uint8Array(await (await sealed(await archive(), key.recipient)).arrayBuffer())
    octets[octets.length - 20]! ^= 1
    expect(await fault(open(new Blob([octets]), null, key.identity))).toBe('broken')
  })

  it('whose clip is another than its manifest says is refused', async () => {
    const key = await make()
    const data = await archive(manifest => ((manifest['parts'] as { sha256: string }[])[0]!.sha256 = 'ab'.repeat(32)))
    expect(await fault(open(await sealed(data, key.recipient), null, key.identity))).toBe('not-as-listed')
  })

  it('whose manifest names a clip that is not there is refused', async () => {
    const key = await make()
    const data = await archive(manifest => ((manifest['parts'] as { file: string }[])[0]!.file = 'clip-009.mp4'))
    expect(await fault(open(await sealed(data, key.recipient), null, key.identity))).toBe('not-as-listed')
  })

  it('of an unknown version is refused', async () => {
    const key = await make()
    const data = await archive(manifest => (manifest['version'] = 2))
    expect(await fault(open(await sealed(data, key.recipient), null, key.identity))).toBe('broken')
  })
})

describe('a key file', () => {
  it('is read back, with the line ends of Windows too', async () => {
    const key = await make()
    const file = keyFile(key, ['鍵'])
    expect(await read(new Blob([file]))).toEqual(key)
    expect(await read(new Blob([file.replaceAll('\n', '\r\n')]))).toEqual(key)
  })

  it('with one wrong letter, or without a key, is none', async () => {
    const { identity, recipient } = await make()
    const wrong = identity.slice(0, -1) + (identity.endsWith('Q') ? 'P' : 'Q')
    expect(await read(new Blob([wrong]))).toBeNull()
    expect(await read(new Blob([recipient]))).toBeNull()
    expect(await read(new Blob(['x'.repeat(5000), identity]))).toBeNull()
  })
})
