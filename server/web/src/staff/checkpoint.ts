/** Reads a C2SP checkpoint for the screen: how many entries, which root, who signed. It verifies nothing. */

export type Checkpoint = { origin: string; size: number; root: string; signers: string[] }

/** Return what the checkpoint says, or null where it is none. */
export function read(note: string): Checkpoint | null {
  const [body = '', signed = ''] = note.split('\n\n')
  const [origin = '', size = '', root = ''] = body.split('\n')
  if (!origin || !/^\d+$/.test(size) || !root) return null
  const signers = signed.split('\n').flatMap(line => /^— (\S+) /.exec(line)?.[1] ?? [])
  return { origin, size: Number(size), root, signers }
}
