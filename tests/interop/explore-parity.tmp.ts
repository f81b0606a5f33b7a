// What goes wrong, and what is done about it on purpose, through a data plane of Heddle and through the real Envoy: as many tries, the same
// statuses, faults and limits.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { discovery } from '@heddle/api';
import { instances, certificateOf, Cleanup, LOOPBACK, registerInstance } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { envoyProgram } from './support/envoy-program.ts';
import { type Asked, CASE_HEADER, type Fields, grpcCall, Parity, SIDES, type Side, valuesOf } from './support/parity.ts';
import { Applications } from './support/parity-apps.ts';
import { freePort, reason } from './support/programs.ts';

const HEALTH = 'health: { interval: 500ms, timeout: 500ms }';
const BACKOFF = 'backoff: { base: 1ms, max: 4ms }';
const CONDITIONS = ['connect-failure', 'refused', 'reset', 'timeout', 'gateway-error', '5xx'];
const GRPC_CONDITIONS = ['cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable'];
const retried = (path: string, on: string, more = ''): string =>
  `      - { match: { path: ${path} }, retry: { attempts: 2, on: [${on}], ${BACKOFF}${more && `, ${more}`} } }\n`;

const RETRIES = [
  ...CONDITIONS.filter((on) => on !== 'timeout').map((on) => retried(`/on/${on}`, on)),
  ...CONDITIONS.slice(2).map((on) => retried(`/twice/${on}`, on, 'perTry: 4s, nonIdempotent: true')),
  ...CONDITIONS.map((on) => retried(`/try/${on}`, on, 'perTry: 700ms')),
  retried('/on/status', 'connect-failure', 'statuses: [409, 429]'),
  retried('/twice/status', 'connect-failure', 'statuses: [409, 429], nonIdempotent: true'),
  retried('/on/all', 'connect-failure, refused, reset, 5xx'),
  `      - { match: { path: /on/none }, retry: off }\n`,
  `      - { match: { path: /on/default } , retry: { ${BACKOFF} } }\n`,
].join('');

const TIMES = `
      - { match: { path: /time/whole }, timeout: 300ms, retry: off }
      - { match: { path: /time/try }, timeout: 5s, retry: { attempts: 1, perTry: 300ms, on: [connect-failure], ${BACKOFF} } }
      - { match: { path: /time/both }, timeout: 500ms, retry: { attempts: 5, perTry: 200ms, on: [timeout], ${BACKOFF} } }
      - { match: { path: /time/none }, timeout: 0, retry: off }
`;
const FAULTS = `
      - { match: { path: /fault/abort }, fault: { abort: { status: 418 } } }
      - { match: { path: /fault/half }, fault: { abort: { status: 503, percent: 50% } } }
      - { match: { path: /fault/delay }, fault: { delay: { for: 150ms } } }
      - { match: { path: /fault/both }, fault: { delay: { for: 150ms }, abort: { status: 500 } } }
      - { match: { path: /fault/late }, timeout: 100ms, retry: off, fault: { delay: { for: 400ms } } }
      - { match: { path: /fault/redirect }, redirect: { path: /there }, fault: { abort: { status: 502 } } }
      - { match: { path: /fault/respond }, respond: { body: here }, fault: { delay: { for: 150ms } } }
      - { match: { path: /fault/retried }, fault: { abort: { status: 503 } }, retry: { attempts: 3, on: [5xx], ${BACKOFF} } }
      - { match: { path: /fault/headers }, headers: { response: { set: { x-mark: yes } } }, fault: { abort: { status: 503 } } }
`;
const MARKED = 'headers: { response: { set: { x-mark: yes }, remove: [content-type] } }';
const MARKS = `
      - { match: { path: /mark/abort }, ${MARKED}, fault: { abort: { status: 503 } } }
      - { match: { path: /mark/limit }, ${MARKED}, rateLimit: { requests: 1, per: 1h } }
      - { match: { path: /mark/time }, ${MARKED}, timeout: 200ms, retry: off }
      - { match: { path: /mark/nowhere }, ${MARKED}, to: { labels: { version: v9 } } }
      - { match: { path: /mark/dead }, ${MARKED}, to: { service: dead } }
      - { match: { path: /mark/reset }, ${MARKED}, retry: off }
      - { match: { path: /mark/redirect }, ${MARKED}, redirect: { path: /there } }
`;
const LIMITS = `
      - { match: { path: /limit/all }, rateLimit: { requests: 3, per: 1h } }
      - { match: { path: /limit/burst }, rateLimit: { requests: 2, per: 1h, burst: 4 } }
      - { match: { path: /limit/header }, rateLimit: { requests: 2, per: 1h, by: { header: x-user } } }
      - { match: { path: /limit/two }, rateLimit: [{ requests: 2, per: 1h, by: { header: x-user } }, { requests: 3, per: 1h }] }
      - { match: [{ path: /limit/a }, { path: /limit/b }], rateLimit: { requests: 3, per: 1h } }
      - { match: { path: /limit/respond }, respond: { body: here }, rateLimit: { requests: 2, per: 1h } }
      - { match: { path: /limit/redirect }, redirect: { path: /there }, rateLimit: { requests: 2, per: 1h } }
      - { match: { path: /limit/fault }, fault: { abort: { status: 503 } }, rateLimit: { requests: 2, per: 1h } }
`;
const CALLS = [
  ...GRPC_CONDITIONS.map((on) => `      - { match: { headers: { x-on: ${on} } }, retry: { attempts: 2, on: [grpc-${on}], nonIdempotent: true, ${BACKOFF} } }\n`),
  `      - { match: { headers: { x-on: once } }, retry: { attempts: 2, on: [grpc-unavailable, refused], ${BACKOFF} } }\n`,
  `      - { match: { headers: { x-on: time } }, timeout: 300ms, retry: off }\n`,
  `      - { match: { headers: { x-on: fault } }, fault: { abort: { grpc: 7 } } }\n`,
  `      - { match: { headers: { x-on: http-fault } }, fault: { abort: { status: 503 } } }\n`,
  `      - { match: { headers: { x-on: limit } }, rateLimit: { requests: 1, per: 1h } }\n`,
  `      - { match: { grpc: { service: parity.Calls, method: Moved } }, rewrite: { path: /parity.Calls/New } }\n`,
].join('');
const QUIET = 'outlier: off, balance: round-robin';
const BUDGET = 'budget: { percent: 100%, minPerSecond: 1000 }';
const GUARD = `rateLimit: [{ requests: 4, per: 1h, match: { path: /guard/** } }, { requests: 2, per: 1h, by: identity, match: { path: /guard/me, methods: POST } }]`;

const MESH = `mesh: parity
services:
  client: { port: 8000, ${HEALTH} }
  shop: { port: 8001, timeout: 10s, retry: { attempts: 1, on: [connect-failure], ${BUDGET} }, ${QUIET}, ${HEALTH} }
  half: { port: 8002, retry: { attempts: 2, on: [connect-failure], ${BUDGET} }, ${QUIET}, ${HEALTH} }
  dead: { port: 8003, retry: off, ${QUIET}, ${HEALTH} }
  calls: { port: 8004, protocol: grpc, timeout: 10s, retry: { attempts: 1, on: [connect-failure], ${BUDGET} }, ${QUIET}, ${HEALTH} }
  ours: { port: 8005, ${QUIET}, ${HEALTH}, ${GUARD} }
  theirs: { port: 8006, ${QUIET}, ${HEALTH}, ${GUARD} }
routes:
  - service: shop
    rules:
${RETRIES}${TIMES}${FAULTS}${MARKS}${LIMITS}
  - service: calls
    rules:
${CALLS}`;

const found = await envoyProgram();
const skip = typeof found === 'string' ? false : reason(found.reason);
const cleanup = new Cleanup();
const apps = new Applications(cleanup);
let parity: Parity;

before(async () => {
  if (skip !== false) return;
  if (typeof found !== 'string') throw new Error(`not on this machine: ${found.reason}`);
  const [shop, half, calls, ours, theirs] = await Promise.all([apps.http('shop-1'), apps.http('half-1'), apps.grpc('calls-1'), apps.http('ours-1'), apps.http('theirs-1')]);
  parity = await Parity.start(cleanup, found, {
    mesh: MESH,
    instances: { 'shop-1': { port: shop }, 'half-1': { port: half }, 'calls-1': { port: calls }, 'ours-1': { port: ours } },
    behindEnvoy: { theirs },
    uses: ['shop', 'half', 'dead', 'calls', 'ours', 'theirs'],
  });
  for (const service of ['half', 'dead']) {
    const inbound = { address: LOOPBACK, port: await freePort() };
    await registerInstance(cleanup, parity.plane.ref, await certificateOf(parity.plane.ref, service), { id: `${service}-9`, service, inbound });
  }
  for (const service of ['shop', 'half', 'ours', 'theirs']) await parity.until(service, { path: '/' }, [`${service}-1`]);
  for (const side of SIDES) await waitFor('gRPC', async () => (await grpcCall(parity.port(side, 'calls'), '/', {})).grpcStatus === 0);
});
after(() => cleanup.run());
const show = (what: string, h: unknown, e: unknown) => { const [a, b] = [JSON.stringify(h), JSON.stringify(e)]; if (a !== b) console.log(`DIFF ${what}\n   H ${a}\n   E ${b}`); };
async function outcome(side: Side, service: string, asked: Asked) {
  const name = parity.name(side);
  const t = performance.now();
  const { status, headers, text } = await parity.ask(side, service, asked, name);
  return { status, tries: apps.triesOf(name).length, error: valuesOf(headers, 'x-heddle-error').join(), ra: valuesOf(headers, 'retry-after').join(), late: performance.now() - t > 140 };
}

test('explore', { skip }, async () => {
  console.log('refusals', await parity.refusals());
  for (const [path, word] of [['abort'], ['limit'], ['limit'], ['time', 'hang'], ['nowhere'], ['dead'], ['reset', 'reset'], ['redirect']]) {
    const both = await parity.both('shop', { path: `/mark/${path}`, headers: word ? [['x-do', word]] : [] });
    console.log(path, JSON.stringify([both.heddle.status, both.heddle.headers]), both.heddle.text.slice(0, 50), '\n   ', JSON.stringify([both.envoy.status, both.envoy.headers]), both.envoy.text.slice(0, 50));
  }
  for (const service of ['half', 'dead']) for (const method of ['GET', 'POST', 'GET', 'POST']) {
    const asked = { path: '/', method };
    const [h, e] = await Promise.all([outcome('heddle', service, asked), outcome('envoy', service, asked)]);
    console.log(`${service} ${method}`, JSON.stringify(h), JSON.stringify(e));
  }
  for (const asks of [['fault'], ['fault'], ['fault'], ['redirect'], ['redirect'], ['redirect']]) {
    const asked = { path: `/limit/${asks[0]}`, headers: (asks[1] ? [['x-user', asks[1]]] : []) as Fields };
    const [h, e] = await Promise.all([outcome('heddle', 'shop', asked), outcome('envoy', 'shop', asked)]);
    show(`limit ${asks}`, h, e);
  }
  for (const on of ['time', 'limit', 'fault', 'http-fault']) for (const word of ['hang', 'grpc:14']) {
    const r = async (side: Side) => { const name = parity.name(side); const a = await grpcCall(parity.port(side, 'calls'), '/parity.Calls/Get', { 'x-on': on, 'x-do': word, [CASE_HEADER]: name }); return { http: a.httpStatus, grpc: a.grpcStatus, tries: apps.triesOf(name).length, error: a.headers['x-heddle-error'], body: a.body.length, m: a.message }; };
    const [h, e] = await Promise.all([r('heddle'), r('envoy')]);
    show(`grpc ${on} ${word}`, h, e);
  }
  for (const h of ['other', 'shop:80', 'shop.mesh.internal:80', 'calls.mesh.internal:80', 'half:80']) show(h, (await parity.ask('heddle', 'shop', { path: `http://${h}/x`, proxied: true, headers: [['host', h]] })).status, (await parity.ask('envoy', 'shop', { path: `http://${h}/x`, proxied: true, headers: [['host', h]] })).status);
  const a = await parity.both('shop', { path: '/', headers: [['via', '1.0 x']] });
  console.log(JSON.stringify(a.heddle.got?.headers), JSON.stringify(a.envoy.got?.headers), JSON.stringify(a.envoy.headers));
  const ids = new Map((await instances(parity.plane.ref)));
  for (const [id, i] of ids) console.log(id, JSON.stringify(discovery.instanceFromMessage(i)));
});
