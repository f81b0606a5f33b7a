// `npm run bench:access`: microseconds to decide about a request, by the number of rules for the service and what they ask for. Processor time, so that
// what else runs does not count; each figure is the median of rounds.
import { compileAccess, PlainRequest } from '@heddle/core';
import type { AccessPolicy, AccessRule, AccessView, Permission, Subject, VerifiedToken } from '@heddle/core';
import { compileCondition } from '@heddle/core/cel';

const COUNTS = [10, 100, 1_000];
const ROUNDS = 9;
const ROUND_MICROS = 40_000;
const BATCH = 200;

const idOf = (service: string): string => `spiffe://mesh.internal/ns/default/svc/${service}`;
const service = (name: string): Subject => ({ identities: [{ kind: 'exact', id: idOf(name) }] });
const MESH: Subject = { identities: [{ kind: 'any' }] };
const GROUPS = Array.from({ length: 20 }, (_, index) => `group-${index * 7}`);

class View extends PlainRequest implements AccessView {
  readonly peerAddress = '10.4.2.17';
  readonly claims: VerifiedToken | undefined;
  readonly isStream = false;
  readonly nowMs = 1_767_225_600_000;

  constructor(path: string, token: boolean) {
    super({
      authority: 'orders.default.mesh.internal:8081',
      path,
      headers: [
        ['user-agent', 'curl/8.5.0'],
        ['x-user', 'ann'],
      ],
      sourceIdentity: idOf('caller-3'),
    });
    this.claims = token ? { issuer: 'login', claims: { sub: 'ann', groups: GROUPS } } : undefined;
  }
}

interface Case {
  readonly name: string;
  /** The rule of this number. The last one fits, or none does. */
  rule(index: number, count: number): Omit<AccessRule, 'name'>;
  readonly path?: string;
  readonly token?: true;
}

const allow = (subject: Subject, permission?: Permission, when?: string): Omit<AccessRule, 'name'> => ({
  effect: 'allow',
  subjects: [subject],
  permissions: permission === undefined ? [] : [permission],
  ...(when !== undefined && { when }),
});
const deny = (subject: Subject, permission: Permission): Omit<AccessRule, 'name'> => ({ ...allow(subject, permission), effect: 'deny' });
const below = (value: string): Permission => ({ methods: ['GET'], paths: [{ kind: 'segments', value }] });
const isLast = (index: number, count: number): boolean => index === count - 1;

const CASES: readonly Case[] = [
  {
    name: 'callers and paths, the last rule allows',
    rule: (index, count) =>
      allow(
        service(isLast(index, count) ? 'caller-3' : `caller-${index % 50}`),
        below(isLast(index, count) ? '/orders' : `/things-${index}`),
      ),
  },
  { name: 'callers alone, refused', rule: (index) => allow(service(`other-${index}`)) },
  {
    name: 'paths alone, the last allows',
    rule: (index, count) => allow(MESH, below(isLast(index, count) ? '/orders' : `/orders-${index}`)),
  },
  {
    name: 'paths that deny, then one that allows',
    rule: (index, count) => (isLast(index, count) ? allow(MESH) : deny(MESH, below(`/orders/${index}/secret`))),
  },
  {
    name: 'networks, the last allows',
    rule: (index, count) => allow({ networks: [isLast(index, count) ? '10.4.0.0/16' : `172.${index >> 6}.${(index & 63) * 4}.0/22`] }),
  },
  {
    name: 'groups in a token, the last allows',
    token: true,
    rule: (index, count) =>
      allow({ token: { issuers: [], claims: [{ claim: ['groups'], values: [isLast(index, count) ? 'group-7' : `team-${index}`] }] } }),
  },
  {
    name: 'groups, no token came',
    rule: (index) =>
      allow({ token: { issuers: [], claims: [{ claim: ['groups'], values: [`team-${index}`] }] } }, below(`/things-${index}`)),
  },
  {
    name: 'path to be normalised, the last allows',
    path: '/x/../%6frders//4711?page=2',
    rule: (index, count) => allow(MESH, below(isLast(index, count) ? '/orders' : `/things-${index}`)),
  },
  {
    name: 'one condition, where the last fits',
    token: true,
    rule: (index, count) =>
      isLast(index, count)
        ? allow(MESH, below('/orders'), '"group-7" in claims.groups && request.time > timestamp("2025-01-01T00:00:00Z")')
        : allow(MESH, below(`/things-${index}`), 'request.method == "PUT"'),
  },
  {
    name: 'the same path, told apart by a header',
    rule: (index, count) =>
      allow(MESH, {
        ...below('/orders'),
        headers: [{ name: 'x-user', match: { kind: 'exact', value: isLast(index, count) ? 'ann' : `user-${index}` } }],
      }),
  },
  {
    name: 'worst: conditions, of which the last holds',
    rule: (index, count) =>
      allow(MESH, below('/orders'), `request.headers["x-user"] == "${isLast(index, count) ? 'ann' : `user-${index}`}"`),
  },
  {
    name: 'worst: regular expressions without a beginning',
    rule: (index, count) => allow(MESH, { paths: [{ kind: 'regex', value: isLast(index, count) ? '.*/4711' : `.*/thing-${index}` }] }),
  },
];

function policyOf(of: Case, count: number): AccessPolicy {
  return { default: 'deny', rules: Array.from({ length: count }, (_, index) => ({ name: `rule ${index + 1}`, ...of.rule(index, count) })) };
}

/** Microseconds for one decision. */
function measure(of: Case, count: number): number {
  const access = compileAccess(policyOf(of, count), { conditions: compileCondition });
  const view = new View(of.path ?? '/orders/4711?page=2', of.token === true);
  const rounds: number[] = [];
  let allowed = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let decisions = 0;
    const start = process.cpuUsage();
    let usedMicros = 0;
    while (usedMicros < ROUND_MICROS) {
      for (let time = 0; time < BATCH; time++) if (access.decide(view).allowed) allowed++;
      decisions += BATCH;
      usedMicros = process.cpuUsage(start).user;
    }
    rounds.push(usedMicros / decisions);
  }
  if (allowed > 0 !== access.decide(view).allowed) throw new Error('a decision changed');
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1] as number;
}

console.log(`µs per decision, by number of rules${' '.repeat(16)}${COUNTS.map((count) => String(count).padStart(10)).join('')}`);
for (const one of CASES) {
  const cells = COUNTS.map((count) => measure(one, count).toFixed(2).padStart(10));
  console.log(`${one.name.padEnd(51)}${cells.join('')}`);
}
