// Where the reader is, as the address of the page says it.
import { computed, signal } from '@preact/signals';
import { type PageName, href, parsePlace } from '../state/routes.ts';

const hash = signal(location.hash);

addEventListener('hashchange', () => {
  hash.value = location.hash;
});

export const place = computed(() => parsePlace(hash.value));

/** Another page, or this one with another question; `replace` leaves no step to go back to. */
export function go(page: PageName, query: Readonly<Record<string, string>> = {}, { name = '', replace = false } = {}): void {
  const next = href(page, query, name);
  if (replace) history.replaceState(null, '', next);
  else history.pushState(null, '', next);
  hash.value = next;
}
