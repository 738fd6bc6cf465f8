/** English. A missing or extra key does not compile. */
import type { Use } from '../api'
import type { OpenWords } from './ja'

const USES: Record<Use, string> = { under_3: '0 to 2', '3_to_9': '3 to 9', '10_to_29': '10 to 29', from_30: '30 or more' }
const SUBJECTS: Record<string, string> = {
  account: 'Accounts and enrolment', family: 'Families', police: 'Police', footage: 'Release of footage', city: 'City hall', board: 'Review board', provider: 'Service providers',
  public: 'Everybody', volunteer: 'Volunteers', never: 'Never', purpose: 'Purposes',
}

export const en: OpenWords = {
  title: 'Watch-over cameras in public',
  lead: 'Who uses footage, for what, and how. What the city did. Anybody can check it here.',
  contents: 'Contents',
  signIn: 'Sign-in for staff and police',
  failed: 'This part could not be loaded.',
  retry: 'Load again',
  loading: 'Loading…',

  what: 'What this is',
  facts: (days: string) => [
    'Only public places are filmed. Windows and gardens are blacked out before recording.',
    'Nobody watches live. Nobody can browse through what was recorded.',
    `Recordings are deleted after ${days}. Only what was approved is kept longer, for a set time.`,
    'Three members of staff decide separately before footage is released. Only where a life is in danger may one decide alone; these are counted in public.',
    'Nobody is searched for by face. There is no function for it.',
    'Records of watch-over tags are another matter. A request for footage gives none.',
  ],
  days: (n: number) => `${n} days`,
  someDays: 'a set number of days',

  cameras: 'Where the cameras are',
  camerasWhat: 'All cameras with their purposes. “Used” counts the requests for which footage was released, within a year up to 30 days ago.',
  map: 'Map of cameras',
  mapKeys: 'Map of cameras. Arrow keys move it, plus and minus change its size. The list below says the same.',
  search: 'Find a camera',
  count: (shown: number, all: number) => `${shown} of ${all} cameras`,
  noCameras: 'No camera is live at the moment.',
  noMatch: 'There is no camera of this name.',
  purposes: 'Purposes',
  comma: ', ',
  allPurposes: 'All purposes of the ordinance',
  live: 'Live since',
  sign: 'Sign',
  notice: 'Public notice',
  used: 'Used',
  uses: USES,

  reports: 'Reports and ledgers',
  open: 'How many people pass (open data)',
  openWhat: 'People with a watch-over tag, by squares of about 1 km (JIS X 0410) and by hour. Nights are not counted. Small counts are left out, and a little noise is added to the others.',
  openNone: 'Nothing has been published yet.',
  openNothing: 'Too few people: nothing of this day is published.',
  openOf: (day: string, form: string) => `${form} of ${day}`,

  log: 'Check the record',
  logWhat: 'Requests, approvals, refusals, openings, destruction: everything stays in a record. If it is changed later, that shows.',
  logWitnessed: 'Witnesses outside city hall have signed it too: the city alone cannot write it anew.',
  logUnwitnessed: 'The city alone has signed this digest. No witness outside city hall has yet.',
  logSize: (n: string) => `${n} entries now`,
  logRoot: 'Digest of the record (root hash)',
  logSigners: 'Signatures',
  logHow: ['Get the public key (log.vkey) another way too, at city hall for example, and compare.', 'This command checks the whole published record. If one entry was changed, it says where.'],
  logNone: 'The record has not been published yet.',

  policies: 'The rules that decide',
  policiesWhat: 'Whether something may be seen or handed over is decided by these rules alone. Each decision records by which.',
  digest: 'Hash of all rules (SHA-256)',
  subjects: SUBJECTS,
  permits: 'May',
  forbids: 'Condition or ban',
  rules: (n: number) => `${n} rule${n === 1 ? '' : 's'}`,
}
