// Time, dice and storage of the browser: the only place of the dashboard that touches them.
import { signal } from '@preact/signals';
import type { Machine } from '../api/watch.ts';

export const machine: Machine = {
  nowMs: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return { cancel: () => clearTimeout(timer) };
  },
  random: () => Math.random(),
};

/** The time, as often as texts such as `5 s ago` need it. */
export const nowMs = signal(machine.nowMs());

export function every(ms: number, run: () => void): () => void {
  const timer = setInterval(run, ms);
  return () => clearInterval(timer);
}

every(1_000, () => {
  // Nobody reads a page that is not shown.
  if (!document.hidden) nowMs.value = machine.nowMs();
});

/** Of this tab, or of this browser. Where that is forbidden, nothing is kept. */
export function remember(where: 'tab' | 'browser', name: string, value: string | undefined): void {
  try {
    const storage = where === 'tab' ? sessionStorage : localStorage;
    if (value === undefined) storage.removeItem(name);
    else storage.setItem(name, value);
  } catch {
    // The page works without.
  }
}

export function recall(where: 'tab' | 'browser', name: string): string | undefined {
  try {
    return (where === 'tab' ? sessionStorage : localStorage).getItem(name) ?? undefined;
  } catch {
    return undefined;
  }
}
