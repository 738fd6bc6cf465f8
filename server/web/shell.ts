/** Writes the list of the family's built files into the service worker, so that the app opens without a network. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Plugin, Rolldown } from 'vite'

const PUBLIC = ['/', '/manifest.webmanifest', '/icon.svg', '/icon-192.png']
const FAMILY = 'index'

type Bundle = Rolldown.OutputBundle

/** Return the chunks that a page loads, at once or later, and their style sheets. */
function reached(bundle: Bundle, entries: string[]): Set<string> {
  const found = new Set<string>()
  const visit = (name: string): void => {
    const chunk = bundle[name]
    if (found.has(name) || chunk?.type !== 'chunk') return
    found.add(name)
    for (const sheet of chunk.viteMetadata?.importedCss ?? []) found.add(sheet)
    for (const next of [...chunk.imports, ...chunk.dynamicImports]) visit(next)
  }
  entries.forEach(visit)
  return found
}

/** Return what only the other pages load: a family's phone need not keep it. */
function foreign(bundle: Bundle): Set<string> {
  const entries = Object.values(bundle).filter(chunk => chunk.type === 'chunk' && chunk.isEntry) as Rolldown.OutputChunk[]
  const own = reached(bundle, entries.filter(chunk => chunk.name === FAMILY).map(chunk => chunk.fileName))
  const others = reached(bundle, entries.filter(chunk => chunk.name !== FAMILY).map(chunk => chunk.fileName))
  return new Set([...others].filter(name => !own.has(name)))
}

export function shell(template: string): Plugin {
  return {
    name: 'mimamori-shell',
    apply: 'build',
    generateBundle(_, bundle) {
      const others = foreign(bundle)
      const built = Object.keys(bundle).filter(name => name.startsWith('assets/') && !others.has(name))
      const files = [...PUBLIC, ...built.map(name => `/${name}`).sort()]
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
