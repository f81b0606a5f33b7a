// What the pages share: the live state of the mesh and the stream that feeds it, while somebody is logged in.
import { effect, signal } from '@preact/signals';
import { Watch, type Connection } from '../api/watch.ts';
import type { Graph } from '../api/traffic.ts';
import { Live } from '../state/live.ts';
import { every, machine } from './machine.ts';
import { api, session } from './session.ts';

export const live = new Live();
export const connection = signal<Connection>({ state: 'connecting' });
/** Grows each time the control plane is there again: what was asked before may be old. */
export const comebacks = signal(0);
/** Why traffic is not known; empty: it is. */
export const trafficMissing = signal('');

const KINDS = 'services,instances,proxies,events';
const TRAFFIC_EVERY_MS = 5_000;

let watch: Watch | undefined;
let stopTraffic: (() => void) | undefined;
let isTrafficWatched = true;

function begin(): void {
  isTrafficWatched = true;
  watch = new Watch({
    api,
    machine,
    path: '/watch',
    query: () => ({ kinds: isTrafficWatched ? `${KINDS},traffic` : KINDS }),
    onEvent: (event) => live.take(event),
    onConnection: (next) => {
      if (next.state === 'live' && connection.peek().state !== 'live') comebacks.value += 1;
      connection.value = next;
    },
    onRefused: (error) => {
      if (error.status === 401) return false;
      isTrafficWatched = false;
      return true;
    },
  });
  const ask = (): void => {
    if (isTrafficWatched && live.trafficAt.peek() !== '') return;
    api.get<Graph>('/graph', { window: '10s' }).then(
      (graph) => {
        trafficMissing.value = '';
        live.traffic(graph);
      },
      (error: Error) => {
        trafficMissing.value = error.message;
      },
    );
  };
  ask();
  stopTraffic = every(TRAFFIC_EVERY_MS, ask);
}

function end(): void {
  watch?.close();
  watch = undefined;
  stopTraffic?.();
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
