// Keeps the app's own files (never an answer of the API: no place and no name is stored) and shows notices.
const SHELL = 'mimamori-shell-__VERSION__'
const FILES = ['__FILES__']
const DEFAULT = { title: 'みまもり', body: 'お知らせがあります。 You have a notice.' }

self.addEventListener('install', event => {
  const fresh = FILES.map(file => new Request(file, { cache: file.startsWith('/assets/') ? 'default' : 'reload' }))
  event.waitUntil(caches.open(SHELL).then(cache => cache.addAll(fresh)).then(() => self.skipWaiting()))
})

self.addEventListener('activate', event => {
  const stale = names => names.filter(name => name.startsWith('mimamori-shell-') && name !== SHELL)
  event.waitUntil(
    caches.keys().then(names => Promise.all(stale(names).map(name => caches.delete(name)))).then(() => self.clients.claim()),
  )
})

self.addEventListener('fetch', event => {
  const url = new URL(event.request.url)
  if (event.request.method !== 'GET' || url.origin !== self.location.origin) return
  if (event.request.mode === 'navigate' && url.pathname === '/') {
    event.respondWith(fetch(event.request).catch(() => caches.match('/')))
  } else if (FILES.includes(url.pathname) && url.pathname !== '/') {
    event.respondWith(caches.match(url.pathname).then(hit => hit ?? fetch(event.request)))
  }
})

function notice(event) {
  try {
    const message = event.data?.json() ?? {}
    return { ...DEFAULT, ...(message.notification ?? message) } // Declarative Web Push, or its plain predecessor
  } catch {
    return DEFAULT
  }
}

self.addEventListener('push', event => {
  const { title, body, tag, lang, navigate, requireInteraction } = notice(event)
  const shown = { body, tag, lang, requireInteraction: requireInteraction === true, data: query(navigate), icon: '/icon-192.png', badge: '/icon-192.png' }
  event.waitUntil(self.registration.showNotification(title, shown))
})

/** Which event it is about: of the address only "?event=…" is taken, so that no message leads to another site. */
function query(address) {
  const url = URL.parse?.(address ?? '/', self.location.origin)
  return url?.origin === self.location.origin ? url.search : ''
}

async function open(search) {
  const [client] = await self.clients.matchAll({ type: 'window', includeUncontrolled: true })
  if (!client) return self.clients.openWindow(`/${search}`)
  client.postMessage({ opened: search })
  return client.focus()
}

self.addEventListener('notificationclick', event => {
  event.notification.close()
  event.waitUntil(open(event.notification.data ?? ''))
})
