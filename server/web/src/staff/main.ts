import '@digital-go-jp/design-tokens/dist/tokens.css'
import '../app.css'
import './staff.css'
import { mount } from 'svelte'
import App from './App.svelte'

mount(App, { target: document.getElementById('app') as HTMLElement })
