// What the pages share: the live state of the mesh and the stream that feeds it, while somebody is logged in.
import { effect, signal } from '@preact/signals';
import { Watch, type Connection } from '../api/watch.ts';
import { Live } from '../state/live.ts';
import { machine } from './machine.ts';
import { api, session } from './session.ts';

export const live = new Live();
export const connection = signal<Connection>({ state: 'connecting' });
/** Grows each time the control plane is there again: what was asked before may be old. */
export const comebacks = signal(0);

let watch: Watch | undefined;

function begin(): void {
  watch = new Watch({
    api,
    machine,
    path: '/watch',
    query: { kinds: 'services,instances,proxies,events,traffic' },
    onEvent: (event) => live.take(event),
    onConnection: (next) => {
      if (next.state === 'live' && connection.peek().state !== 'live') comebacks.value += 1;
      connection.value = next;
    },
  });
}

function end(): void {
  watch?.close();
  watch = undefined;
  live.clear();
}

effect(() => {
  if (session.value.state === 'in') begin();
  else if (watch !== undefined) end();
});

addEventListener('online', () => watch?.retryNow());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) watch?.retryNow();
});
