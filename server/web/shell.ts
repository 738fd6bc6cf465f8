/** Writes the list of built files into the service worker, so that the app opens without a network. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Plugin } from 'vite'

const PUBLIC = ['/', '/manifest.webmanifest', '/icon.svg', '/icon-192.png']

export function shell(template: string): Plugin {
  return {
    name: 'mimamori-shell',
    apply: 'build',
    generateBundle(_, bundle) {
      const built = Object.keys(bundle).filter(name => name.startsWith('assets/')).map(name => `/${name}`)
      const files = [...PUBLIC, ...built.sort()]
      const source = readFileSync(template, 'utf8')
      const version = createHash('sha256').update(files.join('\n')).update(source).digest('hex').slice(0, 12)
      this.emitFile({
        type: 'asset',
        fileName: 'sw.js',
        source: source.replace('__VERSION__', version).replace("['__FILES__']", JSON.stringify(files)),
      })
    },
  }
}
