import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshConfig } from '@heddle/core';
import { compileCondition } from '@heddle/core/cel';
import { formatProblems, parseAccessCases, parseMeshFile } from '@heddle/core/config';
import { PLAIN } from '../output/palette.ts';
import { report, testCases } from './policy-test.ts';

const NOW_MS = Date.UTC(2026, 0, 1, 12);

const MESH = `
mesh: shop
services:
  web: { port: 8080 }
  orders: { port: 8081, labels: { tier: gold } }
  legacy: { port: 8082, mtls: off }
security:
  issuers:
    - { name: login, issuer: "https://id.example", audiences: [shop] }
  deny: [old]
  access:
    rules:
      - { name: reads, from: [web, old], to: orders, methods: [GET], paths: ["/orders/**"] }
      - { name: staff, from: mesh, to: orders, jwt: login, groups: [staff], when: 'request.time.getHours() < 18' }
      - { name: no secrets, effect: deny, from: anyone, to: "*", paths: ["/orders/secret"] }
      - { name: by hand, from: operator, to: legacy }
      - { name: near, from: { network: 10.0.0.0/8 }, to: legacy }
`;

function meshOf(text = MESH): MeshConfig {
  const { mesh, problems } = parseMeshFile(text.replace('[old]', '["old"]').replace('  web:', '  old: { port: 8089 }\n  web:'), {
    path: 'heddle.yaml',
    directory: '/',
    conditions: compileCondition,
    files: { read: () => '', nowMs: NOW_MS },
  });
  assert.ok(mesh, formatProblems(problems));
  return mesh;
}

const CASES = `cases:
  - { name: reads, from: web, to: orders, path: /orders/1, expect: allow, rule: reads }
  - { name: another spelling, from: web, to: orders, path: "//x/../%6frders/1", expect: allow, rule: reads }
  - { name: secrets, from: web, to: orders, path: "/Orders/secret/", expect: deny, rule: no secrets }
  - { name: odd, from: web, to: orders, path: "/orders/a%2fb", expect: deny, rule: no secrets }
  - { name: writes, from: web, to: orders, method: POST, path: /orders/1, expect: 401 }
  - { name: staff, from: web, to: orders, method: POST, claims: { groups: [staff] }, expect: allow, rule: staff }
  - { name: staff at night, from: web, to: orders, method: POST, claims: { groups: [staff] }, time: "2026-01-01T22:00:00Z", expect: deny, rule: "" }
  - { name: nobody, from: anyone, to: orders, path: /orders/1, expect: deny }
  - { name: other trust, from: shop/web, to: orders, path: /orders/1, expect: 401 }
  - { name: denied, from: old, to: orders, path: /orders/1, expect: deny, rule: "" }
  - { name: without identities, from: operator, to: legacy, expect: deny }
  - { name: near, from: anyone, to: legacy, address: 10.1.2.3, stream: true, expect: allow, rule: near }
`;

describe('heddle policy test', () => {
  it('decides as a data plane would', () => {
    const { cases, problems } = parseAccessCases(CASES, 'cases.yaml', meshOf());
    assert.ok(cases, formatProblems(problems));
    const different = testCases(meshOf(), cases, NOW_MS).filter(({ agrees }) => !agrees);
    assert.deepEqual(different, []);
    assert.match(report('cases.yaml', testCases(meshOf(), cases, NOW_MS), meshOf(), PLAIN), /\n12 cases, all as expected\n$/);
  });

  it('says of each difference where, what and why', () => {
    const text =
      'cases:\n  - name: writes\n    from: web\n    to: orders\n    method: POST\n    path: /orders/1\n    expect: allow\n    rule: reads\n';
    const { cases = [] } = parseAccessCases(text, 'cases.yaml', meshOf());
    const shown = report('cases.yaml', testCases(meshOf(), cases, NOW_MS), meshOf(), PLAIN);
    assert.match(
      shown,
      /^ +CASE +FROM +TO +REQUEST +EXPECTED +GOT +BY\ndiffers +writes +web +orders +POST \/orders\/1 +allow +401 +default\n/,
    );
    assert.match(shown, /\ncases\.yaml:2: "writes": expected allow by rule "reads", got 401\n/);
    assert.match(shown, /no rule fits, and the default is deny; with a token, rule "staff" may allow it\n/);
    assert.match(shown, /allow rule "reads" does not fit because the method is POST, not GET\n/);
    assert.match(shown, /\n1 of 1 case came out otherwise\n$/);
  });

  it('asks what a policy that only watches would refuse', () => {
    const mesh = meshOf(MESH.replace('  access:', '  access:\n    audit: true'));
    const { cases = [] } = parseAccessCases('cases: [{ name: a, from: anyone, to: orders, expect: deny }]', 'c', mesh);
    const tested = testCases(mesh, cases, NOW_MS);
    assert.deepEqual(
      tested.map(({ got }) => got),
      ['deny'],
    );
    assert.match(report('c', tested, mesh, PLAIN), /The policy only watches/);
  });

  it('finds what is wrong in the file of cases, each with its place', () => {
    const wrong = (one: string): string => formatProblems(parseAccessCases(`cases:\n  - { ${one} }\n`, 'c.yaml', meshOf()).problems);
    assert.match(
      wrong('name: a, from: wbe, to: orders, expect: allow'),
      /^c\.yaml:2:\d+: error: cases\[0\]\.from: there is no service "wbe".*\n    mend: did you mean "web"\?/,
    );
    assert.match(wrong('name: a, from: web, to: order, expect: allow'), /cases\[0\]\.to: there is no service "order"/);
    assert.match(wrong('name: a, from: web, to: orders, expect: maybe'), /cases\[0\]\.expect: .*expected one of "allow", "deny", 401/);
    assert.match(
      wrong('name: a, from: web, to: orders, expect: deny, rule: read'),
      /there is no rule "read".*\n    mend: did you mean "reads"/,
    );
    assert.match(wrong('name: a, from: web, to: orders, expect: deny, issuer: logn'), /there is no issuer "logn"/);
    assert.match(wrong('name: a, from: web, to: orders, expect: deny, address: x'), /"x" is not an IP address/);
    assert.match(wrong('name: a, from: web, to: orders, expect: deny, time: noon'), /"noon" is not a time/);
    assert.match(wrong('name: a, from: web, to: orders, expect: deny, stream: true, path: /'), /has no effect: a stream of bytes has none/);
    assert.match(wrong('name: a, from: "spiffe://other/ns/a/svc/b", to: orders, expect: deny'), /of another trust domain/);
    assert.match(wrong('name: a, from: "spiffe://x", to: orders, expect: deny'), /is not an identity of a mesh/);
    assert.match(wrong('name: a, from: web, to: orders, expect: deny, token: x'), /write what it says/);
    assert.match(
      wrong('name: a, from: web, to: orders, expect: deny }\n  - { name: a, from: web, to: orders, expect: deny'),
      /the name "a" is that of an earlier case too/,
    );
    assert.match(formatProblems(parseAccessCases('', 'c.yaml', meshOf()).problems), /the file is empty/);
  });
});
