/** Draws public/icon-*.png, the same picture as public/icon.svg, with nothing but Node (`npm run icons`). */
import { writeFileSync } from 'node:fs'
import { crc32, deflateSync } from 'node:zlib'

const BLUE = [0, 0x17, 0xc1]
const RINGS = [{ from: 0, to: 46, white: 1 }, { from: 88, to: 108, white: 0.7 }, { from: 140, to: 160, white: 0.35 }]
const SAMPLES = 4

function whiteAt(x, y) {
  const radius = Math.hypot(x - 256, y - 256)
  return RINGS.find(ring => radius >= ring.from && radius <= ring.to)?.white ?? 0
}

function pixel(column, row, size) {
  let white = 0
  for (let i = 0; i < SAMPLES * SAMPLES; i++) {
    const x = column + ((i % SAMPLES) + 0.5) / SAMPLES
    const y = row + (Math.floor(i / SAMPLES) + 0.5) / SAMPLES
    white += whiteAt((x * 512) / size, (y * 512) / size)
  }
  return BLUE.map(level => Math.round(level + (255 - level) * (white / SAMPLES ** 2)))
}

function chunk(name, data) {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(data.length)
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data])
  const tail = Buffer.alloc(4)
  tail.writeUInt32BE(crc32(body))
  return Buffer.concat([head, body, tail])
}

function png(size) {
  const rows = Array.from({ length: size }, (_, row) =>
    Buffer.from([0, ...Array.from({ length: size }, (_, column) => pixel(column, row, size)).flat()]))
  const header = Buffer.alloc(13)
  header.writeUInt32BE(size, 0)
  header.writeUInt32BE(size, 4)
  header.set([8, 2, 0, 0, 0], 8) // 8 bit, RGB: square and opaque, so that it also serves as a maskable icon
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  const pixels = deflateSync(Buffer.concat(rows), { level: 9 })
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))])
}

for (const size of [192, 512]) writeFileSync(new URL(`public/icon-${size}.png`, import.meta.url), png(size))
