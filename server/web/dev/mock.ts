/** A stand-in for the server, for work on the pages alone (`npm run dev`; sign in as `demo` / `demo`). Not shipped, not tested against. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Plugin } from 'vite'
import type { Fix, Place, WardEvent } from '../src/api'
import type { Role } from '../src/staff/api'
import { answer as answerOfCases } from './cases.ts'
import { lonLat, town } from './town.ts'

const SPEED = 60
const STARTED_MS = Date.now()
const MORNING_MS = Date.parse('2026-11-24T07:40:00+09:00')
const { map, grid } = town()
const HOME = { name_ja: '自宅', name_en: 'Home' }
const SCHOOL = { name_ja: 'みまもり小学校', name_en: 'Mimamori Elementary School' }
const ROUTE = [[7, 2], [7, 3], [6, 3], [6, 4], [5, 4], [5, 5], [4, 5]].map(([i = 0, j = 0]) => grid[i]?.[j] as readonly [number, number])

const nowMs = () => MORNING_MS + (Date.now() - STARTED_MS) * SPEED

/** Where ゆい is: at home until 7:45, at school from 8:05. */
function fixAt(atMs: number): Fix {
  const progress = Math.min(1, Math.max(0, (atMs - MORNING_MS - 5 * 60_000) / (20 * 60_000))) * (ROUTE.length - 1)
  const leg = Math.min(ROUTE.length - 2, Math.floor(progress))
  const [from, to] = [ROUTE[leg], ROUTE[leg + 1]] as [readonly [number, number], readonly [number, number]]
  const along = progress - leg
  const [lon_deg, lat_deg] = lonLat([from[0] + (to[0] - from[0]) * along, from[1] + (to[1] - from[1]) * along])
  return { lat_deg, lon_deg, accuracy_m: 27, heard_at_ms: atMs, received_at_ms: atMs + 2_000, late: false }
}

const place = (atMs: number): Place => ({ ...fixAt(atMs), near: null, battery_pct: 18, sos: false, traceable: false })
const grandfather = (): Place => {
  const [lon_deg, lat_deg] = lonLat([420, 160])
  const heard_at_ms = MORNING_MS - 12 * 60_000
  return { lat_deg, lon_deg, accuracy_m: 80, heard_at_ms, received_at_ms: MORNING_MS, late: true, near: { name_ja: '高齢者センター', name_en: 'Senior Centre' }, battery_pct: 90, sos: nowMs() > MORNING_MS + 1_800_000, traceable: true }
}
const EVENTS: WardEvent[] = [
  { id: 1, kind: 'departed', place: HOME, at_ms: MORNING_MS + 6 * 60_000, received_at_ms: MORNING_MS + 6 * 60_000 },
  { id: 2, kind: 'arrived', place: SCHOOL, at_ms: MORNING_MS + 25 * 60_000, received_at_ms: MORNING_MS + 25 * 60_000 },
]

const me = () => ({
  account: { id: 'g-demo', role: 'guardian', name_ja: 'デモ', name_en: 'Demo', language: 'ja', agency: null },
  guardian: { name_ja: 'デモ', name_en: 'Demo', language: 'ja' },
  city: { id: 'mimamori', name_ja: 'みまもり市', name_en: 'Mimamori City', tz: 'Asia/Tokyo' },
  clock: { simulated: true, speed: SPEED, now_ms: nowMs() },
  wards: [{ id: 'yui', name_ja: 'ゆい', name_en: 'Yui' }, { id: 'grandfather', name_ja: 'じいじ', name_en: 'Grandpa' }, { id: 'new', name_ja: 'はな', name_en: 'Hana' }],
  push_public_key: 'BEl62iUYgUivxIkv69yViEuiBIa-Ib9-SkvMeAtA3LFgDzkrxZJjSgSnfckjBJuBkr3qBUYIHBQFLXYp5Nksh8U',
})

function answers(path: string): unknown {
  const past = EVENTS.filter(event => event.at_ms < nowMs())
  if (path === '/me') return me()
  if (path === '/map') return map
  if (path === '/sign-in-ways') return { passkey: true, code: true, oidc: [] }
  if (path === '/passkeys') return { passkeys: [] }
  if (path === '/sessions') return { sessions: [{ id: '1', way: 'code', created_at_ms: STARTED_MS, used_at_ms: Date.now(), is_this: true }] }
  if (path === '/wards/yui/place') return place(nowMs())
  if (path === '/wards/grandfather/place') return grandfather()
  if (path === '/wards/yui/track') return { fixes: Array.from({ length: Math.floor((nowMs() - MORNING_MS) / 30_000) }, (_, n) => fixAt(MORNING_MS + n * 30_000)) }
  if (path.endsWith('/track')) return { fixes: [] }
  if (path === '/wards/yui/events') return { events: past.toReversed(), next: null }
  if (path.endsWith('/events')) return { events: [], next: null }
  if (path.endsWith('/places')) return { places: [] }
  return undefined
}

function live(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  const told = new Set(EVENTS.filter(event => event.at_ms < nowMs()))
  const timer = setInterval(() => {
    response.write(`event: place\ndata: ${JSON.stringify({ ward_id: 'yui', ...place(nowMs()) })}\n\n`)
    for (const event of EVENTS.filter(event => event.at_ms < nowMs() && !told.has(event))) {
      told.add(event)
      response.write(`event: event\ndata: ${JSON.stringify({ ward_id: 'yui', ...event })}\n\n`)
    }
  }, 500)
  response.on('close', () => clearInterval(timer))
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').split('?')[0] ?? ''
  const as = /mimamori_session=(\w+)/.exec(request.headers.cookie ?? '')?.[1]
  let body = ''
  for await (const part of request) body += part
  if (path === '/session' && request.method === 'POST') {
    const { login, code } = JSON.parse(body)
    if (!['demo', 'officer', 'handler', 'supervisor', 'manager', 'board'].includes(login) || code !== 'demo') return json(response, 401, { title: 'wrong login or code' })
    response.setHeader('Set-Cookie', `mimamori_session=${login}; HttpOnly; SameSite=Strict; Path=/`)
    return json(response, 200, {})
  }
  if (path === '/sign-in-ways') return json(response, 200, { passkey: true, code: true, oidc: [] })
  if (!as) return json(response, 401, { title: 'sign in' })
  if (as !== 'demo' && path !== '/map' && path !== '/session') {
    const isJson = request.headers['content-type']?.includes('json')
    const name = decodeURIComponent(String(request.headers['x-file-name'] ?? ''))
    const said = answerOfCases(as as Role, request.method ?? 'GET', path, isJson ? JSON.parse(body) : null, name)
    return said === undefined ? json(response, 404, { title: 'not found' }) : json(response, 200, said)
  }
  if (path === '/session') response.setHeader('Set-Cookie', 'mimamori_session=; Max-Age=0; Path=/')
  if (path === '/live') return live(response)
  const answer = request.method === 'GET' ? answers(path) : {}
  return answer === undefined ? json(response, 404, { title: 'not-seen-yet' }) : json(response, 200, answer)
}

export function mock(): Plugin {
  return {
    name: 'mimamori-mock',
    configureServer: server => void server.middlewares.use('/api/v1', (request, response) => void handle(request, response)),
  }
}
