/** Wall time that moves on by itself, for what the screen says about deadlines. */
const TICK_MS = 15_000

class Clock {
  nowMs = $state(Date.now())

  constructor() {
    setInterval(() => {
      this.nowMs = Date.now()
    }, TICK_MS)
  }
}

export const clock = new Clock()
