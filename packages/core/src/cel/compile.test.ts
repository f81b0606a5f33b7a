import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { explainAccess } from '../authz/explain.ts';
import { compileAccess } from '../authz/access.ts';
import { ANYONE, idOf, policy, rule, view, type ViewParts } from '../authz/test-support.ts';
import { RouteFault } from '../routing/error.ts';
import { compileCondition, CONDITION_LENGTH_MAX } from './compile.ts';

const destination = { namespace: 'default', name: 'orders' };
const labels = { destination: { tier: 'gold' }, sources: { [idOf('web')]: { zone: 'eu' } } };
const REQUEST: ViewParts = {
  from: 'web',
  peerAddress: '10.0.0.7',
  method: 'POST',
  path: '/a//%62?x=1&y',
  authority: 'Orders.example:80',
  headers: [
    ['X-User', 'ann'],
    ['x-list', 'a'],
    ['x-list', 'b'],
    ['content-type', 'application/grpc+proto'],
  ],
  claims: {
    sub: 'ann',
    groups: ['staff', 'x'],
    level: 5,
    realm: { roles: ['admin'] },
    constructor: 'odd',
    nothing: null,
    exp: 1_767_225_600,
  },
  nowMs: Date.UTC(2026, 2, 29, 2, 30, 15, 250),
};

/** True, false, or why it cannot be told. */
function outcome(when: string, parts: ViewParts = REQUEST): boolean | string {
  const of = { ...policy('deny', rule('allow', ANYONE, undefined, { when })), labels };
  const { decision, rules } = explainAccess(of, view(parts), { conditions: compileCondition, destination });
  const why = rules[0]?.why ?? '';
  return decision.allowed || (why === 'its condition is false' ? false : why.replace('its condition cannot be told: ', ''));
}

const fault = (source: string): string => {
  try {
    compileCondition(source);
    return '';
  } catch (error) {
    assert.ok(error instanceof RouteFault, String(error));
    return error.message;
  }
};

describe('a condition', () => {
  const TRUE = [
    'request.method == "POST" && request.path == "/a/b" && request.query == "x=1&y"',
    'request.host == "orders.example" && request.protocol == "grpc"',
    'request.headers["x-user"] == "ann" && request.headers["X-USER"] == "ann" && "X-User" in request.headers',
    'request.headers["x-list"] == "a,b" && !("x-none" in request.headers) && !has(request.headers.none)',
    `source.identity == "${idOf('web')}" && source.namespace == "default" && source.service == "web" && source.address == "10.0.0.7"`,
    'source.labels.zone == "eu" && destination.labels["tier"] == "gold" && destination.service == "orders"',
    'claims.sub == "ann" && "staff" in claims.groups && claims.groups.exists(g, g.startsWith("st")) && token.issuer == "login"',
    'claims.level == 5 && claims.level >= 4.5 && claims.level in [1, 5] && claims.realm.roles[0] == "admin" && claims["sub"] == "ann"',
    'claims.constructor == "odd" && claims.nothing == null && !has(claims.missing) && size(claims) == 7',
    'request.time.getHours() == 2 && request.time.getDayOfWeek() == 0 && request.time.getFullYear() == 2026 && request.time.getMilliseconds() == 250',
    'request.time.getHours("Europe/Berlin") == 4 && request.time.getHours("America/New_York") == 22 && request.time.getDate("America/New_York") == 28',
    'request.time.getHours("+05:30") == 8 && request.time.getMinutes("-00:45") == 45 && request.time.getDayOfYear("UTC") == 87',
    'request.time < timestamp("2027-01-01T00:00:00Z") && request.time - timestamp("2026-03-29T02:30:00Z") < duration("16s")',
    'timestamp(claims.exp) == timestamp("2026-01-01T00:00:00Z") && timestamp(int(claims.exp)) < request.time',
    'request.path.matches("^/a") && request.path.matches("b$") && request.path.matches("/") && !request.path.matches("^b")',
    'claims.groups.filter(g, g != "x").map(g, g + "!")[0] == "staff!"',
    'claims.none == 1 || request.method == "POST"',
  ];
  for (const source of TRUE) {
    it(`holds: ${source}`, () => {
      assert.equal(outcome(source), true);
    });
  }

  it('is false where it is', () => {
    assert.equal(outcome('request.method == "GET"'), false);
    assert.equal(outcome('claims.none == 1 && request.method == "GET"'), false);
    assert.equal(outcome('"admin" in claims.groups'), false);
  });

  it('cannot be told where what it asks for is not there, or is of another kind', () => {
    assert.equal(outcome('claims.none == "x"'), 'field not found: none');
    assert.equal(outcome('request.headers["x-none"] == "x"'), 'field not found: x-none');
    assert.equal(outcome('claims.sub'), 'its result is neither true nor false');
    assert.match(String(outcome('claims.sub > 5')), /no matching overload/);
    assert.equal(outcome('request.path == "/a"', { path: '/a;x' }), 'field not found: path');
    assert.equal(outcome('source.service == "web"', { from: '' }), 'field not found: service');
    assert.equal(outcome('token.issuer == "login"', {}), 'field not found: issuer');
    assert.equal(outcome('request.method == ""', { isStream: true }), 'field not found: method');
    assert.equal(outcome('request.headers["a"] == ""', { isStream: true }), 'field not found: headers');
    assert.equal(
      outcome('request.protocol == "tcp" && source.identity == "" && size(claims) == 0 && size(source.labels) == 0', { isStream: true }),
      true,
    );
  });

  it('sees the claims of each token, and none of the last one', () => {
    const access = compileAccess(policy('deny', rule('allow', ANYONE, undefined, { when: 'claims.sub == "ann"' })), {
      conditions: compileCondition,
    });
    assert.deepEqual(
      [{ sub: 'ann' }, { sub: 'bob' }, undefined, { sub: 'ann' }].map((claims) => access.decide(view(claims && { claims })).allowed),
      [true, false, false, true],
    );
  });

  it('does not go through claims without end', () => {
    const claims = { groups: Array.from({ length: 3_000 }, (_, index) => `g${index}`) };
    assert.equal(
      outcome('claims.groups.exists(g, g == "x")', { claims }),
      'the token has more than 500 values, which conditions do not go through',
    );
    assert.equal(outcome('request.method == "GET"', { claims }), true);
  });

  it('is matched with regular expressions in time that grows with the text alone', () => {
    const path = `/${'a'.repeat(15_000)}!`;
    assert.equal(outcome('request.path.matches("^/(a+)+$")', { path }), false);
  });

  it('says whether it reads paths and tokens', () => {
    const { readsPath, readsToken } = compileCondition('request.path == "/" || has(claims.sub)');
    assert.deepEqual([readsPath, readsToken], [true, true]);
    const other = compileCondition('request.method == "claims"');
    assert.deepEqual([other.readsPath, other.readsToken], [false, false]);
    assert.equal(compileCondition('token.issuer == "a"').readsToken, true);
    assert.equal(compileCondition('[1].all(x, request.path != "")').readsPath, true);
  });
});

describe('what is no condition', () => {
  const WRONG: readonly (readonly [string, RegExp])[] = [
    ['', /the condition is empty/],
    [`"${'x'.repeat(CONDITION_LENGTH_MAX)}" == ""`, /has 2056 characters; at most 2048/],
    ['a &&', /cannot be read from character 3 on: "&&"/],
    ['request.method = "GET"', /cannot be read from character \d+ on/],
    ['user == "x"', /there is no variable "user"; there are source, destination, request, claims, token/],
    ['request.verb == "x"', /there is no "request\.verb"; of request there are method/],
    ['source.labels2.x == ""', /there is no "source\.labels2"/],
    ['request == 1', /"request" stands alone/],
    ['size(request.headers) > 1', /request\.headers stands alone/],
    ['request.headers.exists(h, true)', /request\.headers stands alone/],
    ['[request.headers][0].size() > 1', /request\.headers stands alone/],
    ['request.headers["Host"] == "x"', /ask for request\.host/],
    ['request.headers[":path"] == "x"', /not a header/],
    ['has(request.headers.host)', /ask for request\.host/],
    ['request.path.matches(claims.pattern)', /the pattern of matches\(\) is not a text/],
    ['request.path.matches("(?=a)")', /look-around is not supported/],
    ['claims.a.exists(x, claims.b.exists(y, x == y))', /a macro stands inside another one/],
    ['claims.a.exists(x, x in claims.b)', /"in" goes through a list for each value/],
    [`true${' && [1].exists(x, true)'.repeat(5)}`, /more than 4 macros/],
    ['claims.a.all(claims, true)', /"claims" is a variable already/],
    ['charAt(claims.a, 1) == "x"', /there is no function "charAt"/],
    ['request.time.getHours("Mars/Olympus") == 1', /there is no time zone "Mars\/Olympus"/],
    ['request.time.getHours(claims.zone) == 1', /a time zone is not a text/],
    ['google.protobuf.Timestamp{seconds: 1} == request.time', /makes a message/],
    ['"yes"', /its result is neither true nor false; compare it/],
    ['[true]', /its result is neither true nor false/],
    [`${'('.repeat(1_000)}true${')'.repeat(1_000)}`, /the condition is nested too deeply|cannot be read/],
  ];
  for (const [source, message] of WRONG) {
    it(`is told why: ${source.slice(0, 60)}`, () => {
      assert.match(fault(source), message);
    });
  }
});
