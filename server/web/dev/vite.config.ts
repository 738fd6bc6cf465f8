import { fileURLToPath } from 'node:url'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'
import { mock } from './mock.ts'

/** `npm run dev`: the pages with a stand-in server. `API=http://127.0.0.1:8780 npm run dev`: with a real one. */
const api = process.env.API

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  plugins: [svelte(), ...(api ? [] : [mock()])],
  worker: { format: 'es' },
  server: { host: '127.0.0.1', proxy: api ? { '/api': api } : {} },
})
