/** The names of the pages: "#/cases/…". The server serves one file for all of them. */

export type Route =
  | { page: 'list' } | { page: 'new' } | { page: 'case'; id: string; isFresh: boolean } | { page: 'key' } | { page: 'reports' } | { page: 'audit' } | { page: 'sample' }

const PAGES = ['key', 'reports', 'audit', 'sample'] as const

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

/** Return the page that a hash names; the list for everything unknown. */
export function parse(hash: string): Route {
  const [first = '', second = '', third = ''] = hash.replace(/^#\/?/, '').split('/')
  if (first === 'cases' && second === 'new') return { page: 'new' }
  const id = decoded(second)
  if (first === 'cases' && id) return { page: 'case', id, isFresh: third === 'frozen' }
  const known = PAGES.find(page => page === first)
  return known ? { page: known } : { page: 'list' }
}

/** `isFresh`: just submitted, which the page then says. */
export const frozenHash = (id: string) => `${caseHash(id)}/frozen`
export const caseHash = (id: string) => `#/cases/${encodeURIComponent(id)}`
