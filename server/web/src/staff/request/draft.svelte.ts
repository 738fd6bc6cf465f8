/** A request while it is being written: kept on the server as a draft, which answers with what the rules say of it. */
import { ApiError, type Fault, type Reason } from '../../http'
import * as api from '../api'
import { caseHash, router } from '../route.svelte'

export type Saving = 'idle' | 'saving' | 'saved' | 'failed' | 'invalid'
type Written = Omit<api.CaseFields, 'purpose' | 'basis'> & { purpose: api.Purpose | null; basis: api.Basis | null }

const PAUSE_MS = 600

/** By what law each purpose may be asked for; the first is the usual one. */
export const BASES: Record<api.Purpose, readonly api.Basis[]> = {
  crime: ['inquiry', 'warrant'],
  missing_person: ['article_69', 'warrant'],
  traffic_accident: ['inquiry', 'warrant'],
  disaster: ['ordinance', 'article_69'],
  subject_disclosure: ['article_76'],
}

/** P1 to P5, in their order. */
export const PURPOSES: readonly api.Purpose[] = ['crime', 'missing_person', 'traffic_accident', 'disaster', 'subject_disclosure']

const EMPTY: Written = {
  purpose: null, basis: null, is_emergency: false, offence: '', has_occurred: false, inquiry: null, warrant_number: '', report_number: '',
  missing_kind: '', last_confirmed_ms: null, reason: '', note: '', cameras: [],
}

function written(from: api.Case): Written {
  const { purpose, basis, is_emergency, offence, has_occurred, inquiry, warrant_number, report_number, missing_kind, last_confirmed_ms, reason, note } = from
  const cameras = from.cameras.map(({ id, from_ms, to_ms }) => ({ id, from_ms, to_ms }))
  return { purpose, basis, is_emergency, offence, has_occurred, inquiry, warrant_number, report_number, missing_kind, last_confirmed_ms, reason, note, cameras }
}

export class Draft {
  fields = $state<Written>({ ...EMPTY })
  saved = $state.raw<api.Case | null>(null)
  saving = $state<Saving>('idle')
  refusals = $state.raw<readonly Reason[]>([])
  faults = $state.raw<readonly Fault[]>([])
  #told = ''
  #timer: ReturnType<typeof setTimeout> | undefined
  #underWay: Promise<void> = Promise.resolve()

  constructor(from: api.Case | null) {
    if (from) {
      this.fields = written(from)
      this.saved = from
      this.#told = JSON.stringify(this.fields)
    }
  }

  /** Whether the server knows what stands on the screen. */
  get isSettled(): boolean {
    return this.saved !== null && JSON.stringify(this.fields) === this.#told && this.saving !== 'saving'
  }

  /** Return what is wrong with a field, if anything is. */
  fault(where: string): Fault | undefined {
    return this.faults.find(fault => fault.where === where)
  }

  choosePurpose(purpose: api.Purpose): void {
    this.fields.purpose = purpose
    this.fields.basis = BASES[purpose][0] ?? null
    this.touch()
  }

  /** Save soon; to be called after each change. */
  touch(): void {
    clearTimeout(this.#timer)
    if (this.fields.purpose === null) return
    this.#timer = setTimeout(() => void this.save(), PAUSE_MS)
  }

  /** Save now, after what is being saved already. */
  save(): Promise<void> {
    clearTimeout(this.#timer)
    this.#underWay = this.#underWay.then(() => this.#send())
    return this.#underWay
  }

  /** Read the case again, as after a paper was added. */
  async refresh(): Promise<void> {
    if (this.saved) this.saved = await api.readCase(this.saved.id)
  }

  /** Return the case as it stands after submission.
   * @throws ApiError where it cannot be submitted. */
  async submit(): Promise<api.Case> {
    await this.save()
    if (!this.saved) throw new ApiError(0, 'no draft')
    return api.take(this.saved.id, { step: 'submit' })
  }

  async #send(): Promise<void> {
    const { purpose, basis } = this.fields
    const text = JSON.stringify(this.fields)
    if (!purpose || !basis || text === this.#told) return
    const body: api.CaseFields = { ...$state.snapshot(this.fields), purpose, basis }
    this.saving = 'saving'
    try {
      const isNew = this.saved === null
      this.saved = this.saved ? await api.redraft(this.saved.id, body) : await api.draft(body)
      this.#told = text
      this.refusals = []
      this.faults = []
      if (isNew) router.rename(caseHash(this.saved.id))
      this.saving = 'saved'
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      this.refusals = error.reasons
      this.faults = error.faults
      this.saving = error.status === 422 || error.status === 400 || error.status === 409 ? 'invalid' : 'failed'
    }
  }
}
