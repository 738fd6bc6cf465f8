/** Why an export does not open. */

export type Fault = 'not-as-sent' | 'wrong-key' | 'broken' | 'not-as-listed'

/** An export that could not be opened, or is not what the city or the camera says that it is. */
export class EvidenceError extends Error {
  constructor(readonly fault: Fault, detail = '') {
    super(`${fault}: ${detail}`)
    this.name = 'EvidenceError'
  }
}
