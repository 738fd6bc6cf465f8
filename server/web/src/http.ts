/** Calls of the server's HTTP API, and how it says no. */

/** A rule that stands against what was asked: its article, and its sentence in both languages. */
export type Reason = { policy: string; article: string; ja: string; en: string }
/** What is wrong with one field of what was sent; `where` names it, as "inquiry.number" or "cameras.0". */
export type Fault = { where: string; what: string; ja: string; en: string }
type Problem = { title?: string; code?: string; reasons?: Reason[]; errors?: Fault[] }

/** The server answered, and said no (RFC 9457). `status` 0: there was no answer at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly retryAfterS: number | null = null,
    readonly code = '',
    readonly reasons: readonly Reason[] = [],
    readonly faults: readonly Fault[] = [],
  ) {
    super(`${status} ${title}`)
    this.name = 'ApiError'
  }
}

async function refusal(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => ({}))) as Problem
  const wait = Number(response.headers.get('Retry-After'))
  const title = problem.title ?? response.statusText
  return new ApiError(response.status, title, wait > 0 ? wait : null, problem.code, problem.reasons, problem.errors?.filter(fault => fault.ja))
}

/** Return the server's answer to a request.
 * @throws ApiError where it is no, or there is none. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const options: RequestInit = { credentials: 'same-origin', cache: 'no-store', ...init }
  const response = await fetch(`/api/v1${path}`, options).catch(() => {
    throw new ApiError(0, 'no answer')
  })
  if (!response.ok) throw await refusal(response)
  return response
}

/** As `send`, with a JSON body. */
export function call(method: string, path: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (body === undefined) return send(path, { method, headers })
  return send(path, { method, headers: { ...headers, 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
}

/** Return what the server answers, as JSON. */
export async function get<T>(path: string): Promise<T> {
  return (await (await call('GET', path)).json()) as T
}
