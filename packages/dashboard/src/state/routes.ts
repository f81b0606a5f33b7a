// Addresses of the pages, behind the `#` of the one page there is: no server needs to know them, and each can be kept as a bookmark.

export const PAGES = [
  'overview',
  'services',
  'service',
  'proxies',
  'identities',
  'decisions',
  'tap',
  'explain',
  'events',
  'audit',
] as const;
export type PageName = (typeof PAGES)[number];

export interface Place {
  readonly page: PageName | 'unknown';
  /** `default/orders` on the page of a service; else empty. */
  readonly name: string;
  readonly query: Readonly<Record<string, string>>;
}

/** Of `location.hash`. */
export function parsePlace(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [first = '', ...rest] = path
    .split('/')
    .filter((part) => part !== '')
    .map(decode);
  const found = { name: '', query: Object.fromEntries(new URLSearchParams(query)) };
  if (first === '' || first.includes('=')) return { ...found, page: 'overview' };
  if (first === 'services' && rest.length === 2) return { ...found, page: 'service', name: rest.join('/') };
  const page = PAGES.find((known) => known === first && known !== 'service');
  return { ...found, page: page !== undefined && rest.length === 0 ? page : 'unknown' };
}

export function href(page: PageName, query: Readonly<Record<string, string>> = {}, name = ''): string {
  const path = page === 'overview' ? '' : page === 'service' ? `services/${name.split('/').map(encodeURIComponent).join('/')}` : page;
  const given = Object.entries(query).filter(([, value]) => value !== '');
  return `#/${path}${given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`}`;
}

export function serviceHref(name: string): string {
  return href('service', {}, name);
}

/** The code of a link with which a browser logs in once; undefined: it is no such link. */
export function loginCode(hash: string): string | undefined {
  return /^#login=([\w-]{1,200})$/.exec(hash)?.[1];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
