// Small drawings beside words, never in their place: screen readers pass over them.

const PATHS = {
  check: 'M3.5 8.5l3 3 6-7',
  cross: 'M4 4l8 8M12 4l-8 8',
  down: 'M8 3v9M4.5 8.5L8 12l3.5-3.5',
  dots: 'M4 8h.01M8 8h.01M12 8h.01',
  warn: 'M8 2.5l6 11H2zM8 6.5v3M8 11.5h.01',
  lock: 'M4 7.5h8v6H4zM5.5 7.5v-2a2.5 2.5 0 0 1 5 0v2',
  unlock: 'M4 7.5h8v6H4zM5.5 7.5v-2a2.5 2.5 0 0 1 4.8-.9',
  plus: 'M8 3.5v9M3.5 8h9',
  minus: 'M3.5 8h9',
  fit: 'M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3',
  overview: 'M3 3h4v4H3zM9 9h4v4H9zM7 5h4v4',
  services: 'M2.5 4h11M2.5 8h11M2.5 12h11',
  proxies: 'M2.5 8h3M10.5 8h3M5.5 5h5v6h-5z',
  identities: 'M8 2.5l5 2v4c0 3-2.2 4.6-5 5.5-2.8-.9-5-2.5-5-5.5v-4z',
  decisions: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M4.2 4.2l7.6 7.6',
  tap: 'M2 8h3l1.5-4 3 8L11 8h3',
  explain: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M6.3 6.4a1.8 1.8 0 1 1 2.6 1.6c-.6.3-.9.6-.9 1.2M8 11.3h.01',
  events: 'M4 2.5v11M4 5h8M4 9h6',
  audit: 'M4 2.5h6l2.5 2.5v8.5H4zM6 7h4.5M6 10h4.5',
  sun: 'M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9',
  moon: 'M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z',
  auto: 'M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11',
  menu: 'M2.5 4h11M2.5 8h11M2.5 12h11',
  play: 'M5 3.5v9l7-4.5z',
  stop: 'M4.5 4.5h7v7h-7z',
  out: 'M6.5 3H3v10h3.5M6.5 8H13M10.5 5.5L13 8l-2.5 2.5',
} as const;
export type IconName = keyof typeof PATHS;

export function iconPath(name: IconName): string {
  return PATHS[name];
}

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
