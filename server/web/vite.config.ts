import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'
import { shell } from './shell.ts'

export default defineConfig({
  plugins: [svelte(), shell('src/sw.js')],
  worker: { format: 'es' },
  build: {
    outDir: '../static',
    emptyOutDir: true,
    target: 'es2022',
    rolldownOptions: { input: { index: 'index.html', staff: 'staff.html', open: 'open.html' } },
    assetsInlineLimit: 0, // the content security policy allows files of ours, not data: addresses
    chunkSizeWarningLimit: 1200, // MapLibre, which is loaded after the words are on the screen
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
})
