// `npm run bench:routing`: nanoseconds to find the route of a request, by how many routes are asked before the one that fits and what they
// ask for. Processor time, so that what else runs does not count; each figure is the median of rounds.
import { compileRoutes, forwardTo, PlainRequest } from '@heddle/core';
import type { PathMatch, RequestMatch, Route, RouteMatcher } from '@heddle/core';

const COUNTS = [1, 10, 100];
const ROUNDS = 9;
const ROUND_MICROS = 50_000;

/** The request that takes the last of the routes. */
const REQUEST = new PlainRequest({
  authority: 'orders.default.mesh.internal:8081',
  path: '/api/v1/orders/4711/items?debug=1&lang=en',
  headers: [
    ['user-agent', 'curl/8.5.0'],
    ['x-user', 'ann'],
  ],
});

interface Kind {
  readonly name: string;
  /** Of a route that does not fit. */
  other(index: number): RequestMatch;
  readonly last: RequestMatch;
}

const path = (kind: PathMatch['kind'], value: string): RequestMatch => ({ kind: 'request', path: { kind, value } });
const header = (value: string): RequestMatch => ({
  ...path('prefix', '/'),
  headers: [{ name: 'x-user', match: { kind: 'exact', value } }],
});
const query = (value: string): RequestMatch => ({ ...path('prefix', '/'), query: [{ name: 'lang', match: { kind: 'exact', value } }] });

const KINDS: readonly Kind[] = [
  { name: 'prefix', other: (index) => path('prefix', `/api/v1/other-${index}`), last: path('prefix', '/') },
  { name: 'segments', other: (index) => path('segments', `/api/v1/other-${index}`), last: path('segments', '/api/v1/orders') },
  {
    name: 'template',
    other: (index) => path('template', `/api/v1/other-${index}/{id}`),
    last: path('template', '/api/v1/orders/{id}/items'),
  },
  { name: 'header', other: (index) => header(`user-${index}`), last: header('ann') },
  { name: 'query', other: (index) => query(`q${index}`), last: query('en') },
  { name: 'regex', other: (index) => path('regex', `/api/v\\d+/other-${index}/.*`), last: path('regex', '/api/v\\d+/orders/[^/]+/.*') },
];

function matcherOf(kind: Kind, count: number): RouteMatcher {
  const matches = Array.from({ length: count }, (_, index) => (index === count - 1 ? kind.last : kind.other(index)));
  const routes = matches.map((match, index): Route => ({ name: `rule ${index}`, match, action: forwardTo('orders') }));
  const domains = ['orders', 'orders.default', 'orders.default.mesh.internal', 'orders.default.mesh.internal:8081'];
  const others = Array.from({ length: 200 }, (_, index) => ({
    name: `s${index}`,
    domains: [`s${index}.default`, `s${index}`],
    routes: [],
  }));
  return compileRoutes({ name: 'outbound/mesh', virtualHosts: [...others, { name: 'orders', domains, routes }] });
}

/** Nanoseconds for one match. */
function measure(matcher: RouteMatcher): number {
  const rounds: number[] = [];
  let found = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let count = 0;
    const start = process.cpuUsage();
    let usedMicros = 0;
    while (usedMicros < ROUND_MICROS) {
      for (let time = 0; time < 1_000; time++) if (matcher.match(REQUEST) !== undefined) found++;
      count += 1_000;
      usedMicros = process.cpuUsage(start).user;
    }
    rounds.push((usedMicros * 1_000) / count);
  }
  if (found === 0) throw new Error('no route was found');
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1] as number;
}

console.log(`ns per match, the last of so many routes fits${' '.repeat(4)}${COUNTS.map((count) => String(count).padStart(10)).join('')}`);
for (const kind of KINDS) {
  const cells = COUNTS.map((count) => measure(matcherOf(kind, count)).toFixed(0).padStart(10));
  console.log(`${kind.name.padEnd(49)}${cells.join('')}`);
}
