/** Reads the members of an export: a ZIP of stored members, as edge/camera/parcel.py writes it. Nothing is inflated. */

export class ZipError extends Error {}

const END = 0x06054b50
const ENTRY = 0x02014b50
const LOCAL = 0x04034b50
const END_OCTETS = 22
const ENTRY_OCTETS = 46
const LOCAL_OCTETS = 30
const MAX_COMMENT_OCTETS = 65_535
const STORED = 0
const MAX_MEMBERS = 1_000
const IS_IN_ZIP64 = 0xffff_ffff

export type Member = { name: string; size: number; at: number }

const view = async (file: Blob, from: number, to: number) => new DataView(await file.slice(from, to).arrayBuffer())

/** Return the directory's place: the last record of the file says it. */
async function findEnd(file: Blob): Promise<{ count: number; size: number; at: number }> {
  const from = Math.max(0, file.size - END_OCTETS - MAX_COMMENT_OCTETS)
  const tail = await view(file, from, file.size)
  for (let at = tail.byteLength - END_OCTETS; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END) continue
    return { count: tail.getUint16(at + 10, true), size: tail.getUint32(at + 12, true), at: tail.getUint32(at + 16, true) }
  }
  throw new ZipError('no directory: the file is cut off, or no archive')
}

function entry(directory: DataView, at: number): { member: Member; next: number } {
  if (at + ENTRY_OCTETS > directory.byteLength || directory.getUint32(at, true) !== ENTRY) throw new ZipError('the directory is broken')
  if (directory.getUint16(at + 10, true) !== STORED) throw new ZipError('a member is compressed; ours never are')
  const [size, offset] = [directory.getUint32(at + 24, true), directory.getUint32(at + 42, true)]
  if (size === IS_IN_ZIP64 || offset === IS_IN_ZIP64) throw new ZipError('more than 4 GB: open it with the command line')
  const [nameLength, extra, comment] = [28, 30, 32].map(field => directory.getUint16(at + field, true)) as [number, number, number]
  const next = at + ENTRY_OCTETS + nameLength + extra + comment
  if (next > directory.byteLength) throw new ZipError('the directory is broken')
  const name = new TextDecoder().decode(new Uint8Array(directory.buffer, directory.byteOffset + at + ENTRY_OCTETS, nameLength))
  return { member: { name, size, at: offset }, next }
}

/** Return what lies in the archive, in its order.
 * @throws ZipError where it is not an archive of ours. */
export async function members(file: Blob): Promise<Member[]> {
  const end = await findEnd(file)
  if (end.count > MAX_MEMBERS || end.at + end.size > file.size) throw new ZipError('the directory is broken')
  const directory = await view(file, end.at, end.at + end.size)
  const found: Member[] = []
  for (let n = 0, at = 0; n < end.count; n++) {
    const { member, next } = entry(directory, at)
    found.push(member)
    at = next
  }
  return found
}

/** Return a member's content; it is not copied.
 * @throws ZipError where there is none. */
export async function content(file: Blob, member: Member): Promise<Blob> {
  const head = await view(file, member.at, member.at + LOCAL_OCTETS)
  if (head.byteLength < LOCAL_OCTETS || head.getUint32(0, true) !== LOCAL) throw new ZipError('a member is not where it should be')
  const from = member.at + LOCAL_OCTETS + head.getUint16(26, true) + head.getUint16(28, true)
  if (from + member.size > file.size) throw new ZipError('a member is cut off')
  return file.slice(from, from + member.size)
}
