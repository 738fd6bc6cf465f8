/** Which page is open. */
import { parse, type Route } from './route'

export { caseHash, frozenHash, type Route } from './route'

class Router {
  route = $state.raw<Route>(parse(location.hash))

  constructor() {
    addEventListener('hashchange', () => {
      this.route = parse(location.hash)
    })
  }

  open(hash: string): void {
    location.hash = hash
  }

  /** Name the page anew without opening it: what is on the screen stays. */
  rename(hash: string): void {
    history.replaceState(null, '', hash)
  }
}

export const router = new Router()
