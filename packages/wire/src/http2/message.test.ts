import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GET, POST, data, headers, type Fields } from './testing/frames.ts';
import { clientBench, serverBench } from './testing/record.ts';
import { ownRequest } from './testing/heads.ts';

const [METHOD, SCHEME, AUTHORITY, PATH] = GET as [Fields[0], Fields[0], Fields[0], Fields[0]];

function with_(...fields: Fields): Fields {
  return [...GET, ...fields];
}

/** Name of the case, fields, violated rule. */
const MALFORMED_REQUESTS: readonly [string, Fields, string][] = [
  ['a name in upper case', with_(['X-Name', '1']), 'BAD_FIELD_NAME'],
  ['an empty name', with_(['', '1']), 'BAD_FIELD_NAME'],
  ['a name with a space', with_(['a b', '1']), 'BAD_FIELD_NAME'],
  ['a name with a colon', with_(['a:b', '1']), 'BAD_FIELD_NAME'],
  ['a name with a control byte', with_(['a\x00', '1']), 'BAD_FIELD_NAME'],
  ['a name with a byte above 127', with_(['a\xe9', '1']), 'BAD_FIELD_NAME'],
  ['a value with NUL', with_(['a', '1\x00']), 'BAD_FIELD_VALUE'],
  ['a value with CR LF', with_(['a', '1\r\nhost: evil']), 'BAD_FIELD_VALUE'],
  ['a value with LF', with_(['a', '1\n']), 'BAD_FIELD_VALUE'],
  ['a value with DEL', with_(['a', '1\x7f']), 'BAD_FIELD_VALUE'],
  ['a value that begins with a space', with_(['a', ' 1']), 'BAD_FIELD_VALUE'],
  ['a value that ends with a tab', with_(['a', '1\t']), 'BAD_FIELD_VALUE'],
  ['connection', with_(['connection', 'close']), 'CONNECTION_FIELD'],
  ['keep-alive', with_(['keep-alive', 'timeout=5']), 'CONNECTION_FIELD'],
  ['proxy-connection', with_(['proxy-connection', 'keep-alive']), 'CONNECTION_FIELD'],
  ['transfer-encoding', with_(['transfer-encoding', 'chunked']), 'CONNECTION_FIELD'],
  ['upgrade', with_(['upgrade', 'h2c']), 'CONNECTION_FIELD'],
  ['te: gzip', with_(['te', 'trailers, gzip']), 'CONNECTION_FIELD'],
  ['an unknown pseudo-header field', [...GET, [':unknown', '1']], 'UNKNOWN_PSEUDO'],
  ['a pseudo-header field of responses', [...GET, [':status', '200']], 'UNKNOWN_PSEUDO'],
  ['a pseudo-header field after others', [METHOD, SCHEME, AUTHORITY, ['a', '1'], PATH], 'PSEUDO_AFTER_FIELD'],
  ['two :method', [METHOD, METHOD, SCHEME, AUTHORITY, PATH], 'REPEATED_PSEUDO'],
  ['two :path', [METHOD, SCHEME, AUTHORITY, PATH, PATH], 'REPEATED_PSEUDO'],
  ['two :authority', [METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH], 'REPEATED_PSEUDO'],
  ['nothing at all', [], 'MISSING_PSEUDO'],
  ['no :method', [SCHEME, AUTHORITY, PATH], 'MISSING_PSEUDO'],
  ['no :scheme', [METHOD, AUTHORITY, PATH], 'MISSING_PSEUDO'],
  ['no :path', [METHOD, SCHEME, AUTHORITY], 'MISSING_PSEUDO'],
  ['neither :authority nor host', [METHOD, SCHEME, PATH], 'MISSING_AUTHORITY'],
  ['an empty host', [METHOD, SCHEME, PATH, ['host', '']], 'MISSING_AUTHORITY'],
  ['a host that differs', with_(['host', 'payments.mesh.internal']), 'HOST_DIFFERS'],
  ['two hosts', with_(['host', AUTHORITY[1]], ['host', AUTHORITY[1]]), 'HOST_DIFFERS'],
  ['user information in :authority', [METHOD, SCHEME, [':authority', 'me@orders'], PATH], 'BAD_AUTHORITY'],
  ['an empty :authority', [METHOD, SCHEME, [':authority', ''], PATH], 'BAD_AUTHORITY'],
  ['a space in :authority', [METHOD, SCHEME, [':authority', 'a b'], PATH], 'BAD_AUTHORITY'],
  ['a bad host', [METHOD, SCHEME, PATH, ['host', 'a/b']], 'BAD_AUTHORITY'],
  ['an empty :method', [[':method', ''], SCHEME, AUTHORITY, PATH], 'BAD_METHOD'],
  ['a request line in :method', [[':method', 'GET / HTTP/1.1\r\n'], SCHEME, AUTHORITY, PATH], 'BAD_METHOD'],
  ['a bad :scheme', [METHOD, [':scheme', 'ht tp'], AUTHORITY, PATH], 'BAD_SCHEME'],
  ['an empty :path', [METHOD, SCHEME, AUTHORITY, [':path', '']], 'BAD_PATH'],
  ['a relative :path', [METHOD, SCHEME, AUTHORITY, [':path', 'a']], 'BAD_PATH'],
  ['a space in :path', [METHOD, SCHEME, AUTHORITY, [':path', '/a HTTP/1.1']], 'BAD_PATH'],
  ['a fragment in :path', [METHOD, SCHEME, AUTHORITY, [':path', '/a#b']], 'BAD_PATH'],
  ['* without OPTIONS', [METHOD, SCHEME, AUTHORITY, [':path', '*']], 'BAD_PATH'],
  [
    'CONNECT without port',
    [
      [':method', 'CONNECT'],
      [':authority', 'db'],
    ],
    'BAD_CONNECT',
  ],
  ['CONNECT without :authority', [[':method', 'CONNECT']], 'BAD_CONNECT'],
  ['CONNECT with :path', [[':method', 'CONNECT'], [':authority', 'db:1'], PATH], 'BAD_CONNECT'],
  ['CONNECT with :scheme', [[':method', 'CONNECT'], SCHEME, [':authority', 'db:1']], 'BAD_CONNECT'],
  ['extended CONNECT without :path', [[':method', 'CONNECT'], [':protocol', 'websocket'], SCHEME, AUTHORITY], 'MISSING_PSEUDO'],
  ...['', '/1.0', 'TLS/', 'TLS/1/0', 'a b', 'TLS/1 0'].map((protocol): (typeof MALFORMED_REQUESTS)[number] => [
    `extended CONNECT for ${JSON.stringify(protocol)}`,
    [[':method', 'CONNECT'], [':protocol', protocol], SCHEME, AUTHORITY, PATH],
    'BAD_FIELD_VALUE',
  ]),
  ['GET with :protocol', [...GET, [':protocol', 'websocket']], 'BAD_CONNECT'],
  ['a signed content-length', with_(['content-length', '+1']), 'BAD_CONTENT_LENGTH'],
  ['an empty content-length', with_(['content-length', '']), 'BAD_CONTENT_LENGTH'],
  ['a list in content-length', with_(['content-length', '1, 1']), 'BAD_CONTENT_LENGTH'],
  ['a huge content-length', with_(['content-length', '1'.repeat(16)]), 'BAD_CONTENT_LENGTH'],
  ['two content-length', with_(['content-length', '0'], ['content-length', '0']), 'BAD_CONTENT_LENGTH'],
  ['content-length and END_STREAM', with_(['content-length', '1']), 'LENGTH_DIFFERS'],
];

for (const [name, fields, violation] of MALFORMED_REQUESTS) {
  test(`a request is malformed by ${name}`, () => {
    const bench = serverBench();
    assert.deepEqual(bench.push(headers(1, fields)), [`refused 1 ${violation}`]);
    assert.deepEqual(bench.sent(), ['rstStream 1 error 1']);
    // Only the stream is lost.
    assert.deepEqual(bench.push(headers(3, GET)), ['request 3 GET http|orders.mesh.internal|/ [] end']);
  });
}

const REQUESTS: readonly [string, Fields, string][] = [
  ['a plain one', GET, 'GET http|orders.mesh.internal|/ []'],
  ['host instead of :authority', [METHOD, SCHEME, PATH, ['a', '1'], ['host', 'x:80']], 'GET http|x:80|/ [a 1]'],
  ['host in another case than :authority', with_(['host', 'Orders.mesh.INTERNAL'], ['b', '']), 'GET http|orders.mesh.internal|/ [b ]'],
  [
    'crumbs of a cookie, which are joined',
    with_(['cookie', 'a=1'], ['x', 'y'], ['cookie', 'b=2'], ['cookie', 'c=3']),
    'GET http|orders.mesh.internal|/ [cookie a=1; b=2; c=3, x y]',
  ],
  ['te: trailers', with_(['te', 'trailers']), 'GET http|orders.mesh.internal|/ [te trailers]'],
  ['OPTIONS *', [[':method', 'OPTIONS'], SCHEME, AUTHORITY, [':path', '*']], 'OPTIONS http|orders.mesh.internal|* []'],
  [
    'CONNECT',
    [
      [':method', 'CONNECT'],
      [':authority', 'db:5432'],
    ],
    'CONNECT |db:5432| []',
  ],
  [
    'extended CONNECT',
    [[':method', 'CONNECT'], [':protocol', 'websocket'], [':scheme', 'https'], AUTHORITY, [':path', '/chat']],
    'CONNECT https|orders.mesh.internal|/chat websocket []',
  ],
  [
    'extended CONNECT for a protocol with a version',
    [[':method', 'CONNECT'], [':protocol', 'TLS/1.0'], [':scheme', 'https'], AUTHORITY, [':path', '/chat']],
    'CONNECT https|orders.mesh.internal|/chat TLS/1.0 []',
  ],
  ['obs-text and tabs within values', with_(['a', 'caf\xe9\tx']), 'GET http|orders.mesh.internal|/ [a caf\xe9\tx]'],
  ['content-length 0', with_(['content-length', '0']), 'GET http|orders.mesh.internal|/ [content-length 0]'],
];

for (const [name, fields, wanted] of REQUESTS) {
  test(`takes requests with ${name}`, () => {
    assert.deepEqual(serverBench().push(headers(1, fields)), [`request 1 ${wanted} end`]);
  });
}

test('refuses extended CONNECT when it was not announced', () => {
  const fields: Fields = [[':method', 'CONNECT'], [':protocol', 'websocket'], SCHEME, AUTHORITY, PATH];
  assert.deepEqual(serverBench({ extendedConnect: false }).push(headers(1, fields, false)), ['refused 1 BAD_CONNECT']);
});

test('the DATA of a request are as many as its content-length says', () => {
  const fields: Fields = [...POST, ['content-length', '5']];
  const head = 'request 1 POST http|orders.mesh.internal|/ [content-length 5]';
  const cases: [Buffer[], string[]][] = [
    [
      [data(1, 'abc'), data(1, 'de', true)],
      ['data 1 abc', 'data 1 de end'],
    ],
    [
      [data(1, 'abcde'), data(1, '', true)],
      ['data 1 abcde', 'data 1  end'],
    ],
    [[data(1, 'abc', true)], ['reset 1 1 LENGTH_DIFFERS']],
    [[data(1, 'abcdef')], ['reset 1 1 LENGTH_DIFFERS']],
    [
      [data(1, 'abc'), headers(1, [['x-sum', '1']])],
      ['data 1 abc', 'reset 1 1 LENGTH_DIFFERS'],
    ],
  ];
  for (const [frames, events] of cases) assert.deepEqual(serverBench().push(headers(1, fields, false), ...frames), [head, ...events]);
});

test('content-length of a CONNECT request means nothing', () => {
  const fields: Fields = [
    [':method', 'CONNECT'],
    [':authority', 'db:5432'],
    ['content-length', '1'],
  ];
  assert.deepEqual(serverBench().push(headers(1, fields, false), data(1, 'tunnel')), [
    'request 1 CONNECT |db:5432| [content-length 1]',
    'data 1 tunnel',
  ]);
});

test('trailers have no pseudo-header fields, frame nothing, and end the stream', () => {
  const cases: [Fields, boolean, string][] = [
    [[['x-sum', '1']], true, 'trailers 1 [x-sum 1]'],
    [[], true, 'trailers 1 []'],
    [[['x-sum', '1']], false, 'reset 1 1 TRAILERS_WITHOUT_END'],
    [[[':method', 'GET']], true, 'reset 1 1 PSEUDO_IN_TRAILERS'],
    [[['X', '1']], true, 'reset 1 1 BAD_FIELD_NAME'],
    [[['content-length', '1']], true, 'reset 1 1 BAD_CONTENT_LENGTH'],
    [[['host', 'a']], true, 'reset 1 1 HOST_DIFFERS'],
    [[['te', 'trailers']], true, 'reset 1 1 CONNECTION_FIELD'],
    [[['connection', 'close']], true, 'reset 1 1 CONNECTION_FIELD'],
  ];
  for (const [fields, end, event] of cases) {
    const bench = serverBench();
    assert.equal(bench.push(headers(1, POST, false), headers(1, fields, end))[1], event);
    assert.deepEqual(bench.sent(), event.startsWith('trailers') ? [] : ['rstStream 1 error 1']);
  }
});

const OK: Fields = [[':status', '200']];

/** Name, method, frames of the server, events. */
const RESPONSES: readonly [string, string, Buffer[], string[]][] = [
  ['no :status', 'GET', [headers(1, [['a', '1']])], ['reset 1 1 MISSING_PSEUDO']],
  ['nothing', 'GET', [headers(1, [])], ['reset 1 1 MISSING_PSEUDO']],
  ['a pseudo-header field of requests', 'GET', [headers(1, [[':path', '/']])], ['reset 1 1 UNKNOWN_PSEUDO']],
  ['another one after :status', 'GET', [headers(1, [...OK, [':path', '/']])], ['reset 1 1 UNKNOWN_PSEUDO']],
  ['two :status', 'GET', [headers(1, [...OK, ...OK])], ['reset 1 1 REPEATED_PSEUDO']],
  ['a late :status', 'GET', [headers(1, [...OK, ['a', '1'], ...OK])], ['reset 1 1 PSEUDO_AFTER_FIELD']],
  ['a status of two digits', 'GET', [headers(1, [[':status', '20']])], ['reset 1 1 BAD_STATUS']],
  ['a signed status', 'GET', [headers(1, [[':status', '+20']])], ['reset 1 1 BAD_STATUS']],
  ['status 099', 'GET', [headers(1, [[':status', '099']])], ['reset 1 1 BAD_STATUS']],
  ['101', 'GET', [headers(1, [[':status', '101']], false)], ['reset 1 1 BAD_STATUS']],
  ['transfer-encoding', 'GET', [headers(1, [...OK, ['transfer-encoding', 'chunked']])], ['reset 1 1 CONNECTION_FIELD']],
  ['an interim response that ends', 'GET', [headers(1, [[':status', '103']])], ['reset 1 1 INTERIM_ENDS_STREAM']],
  ['DATA before the head', 'GET', [data(1, 'x')], ['reset 1 1 DATA_BEFORE_HEADERS']],
  [
    'DATA after an interim response',
    'GET',
    [headers(1, [[':status', '100']], false), data(1, 'x')],
    ['interim 1 100 []', 'reset 1 1 DATA_BEFORE_HEADERS'],
  ],
  ['a length without DATA', 'GET', [headers(1, [...OK, ['content-length', '5']])], ['reset 1 1 LENGTH_DIFFERS']],
  [
    'content after HEAD',
    'HEAD',
    [headers(1, [...OK, ['content-length', '5']], false), data(1, 'x')],
    ['response 1 200 [content-length 5]', 'reset 1 1 LENGTH_DIFFERS'],
  ],
  ['content with 204', 'GET', [headers(1, [[':status', '204']], false), data(1, 'x')], ['response 1 204 []', 'reset 1 1 LENGTH_DIFFERS']],
  [
    'content with 304',
    'GET',
    [
      headers(
        1,
        [
          [':status', '304'],
          ['content-length', '1'],
        ],
        false,
      ),
      data(1, 'x'),
    ],
    ['response 1 304 [content-length 1]', 'reset 1 1 LENGTH_DIFFERS'],
  ],
];

for (const [name, method, frames, events] of RESPONSES) {
  test(`a response is malformed by ${name}`, () => {
    const bench = clientBench();
    bench.connection.request(ownRequest(method), true);
    bench.sent();
    assert.deepEqual(bench.push(...frames), events);
    assert.deepEqual(bench.sent(), ['rstStream 1 error 1']);
    assert.equal(bench.connection.streamCount, 0);
    assert.equal(bench.connection.state, 'open');
  });
}

test('takes responses: interim ones, HEAD with a length, 304, trailers, CONNECT with a meaningless length', () => {
  const bench = clientBench();
  const { connection } = bench;
  for (const method of ['GET', 'HEAD', 'GET', 'GET', 'CONNECT']) connection.request(ownRequest(method), method !== 'CONNECT');
  assert.deepEqual(
    bench.push(
      headers(
        1,
        [
          [':status', '103'],
          ['link', '</a>'],
        ],
        false,
      ),
      headers(1, [[':status', '100']], false),
      headers(1, [...OK, ['content-length', '3']], false),
      data(1, 'abc', true),
      headers(3, [...OK, ['content-length', '77']]),
      headers(
        5,
        [
          [':status', '304'],
          ['content-length', '77'],
        ],
        false,
      ),
      data(5, '', true),
      headers(7, OK, false),
      data(7, 'x'),
      headers(7, [['grpc-status', '0']]),
      headers(9, [...OK, ['content-length', '1']], false),
      data(9, 'tunnel'),
    ),
    [
      'interim 1 103 [link </a>]',
      'interim 1 100 []',
      'response 1 200 [content-length 3]',
      'data 1 abc end',
      'response 3 200 [content-length 77] end',
      'response 5 304 [content-length 77]',
      'data 5  end',
      'response 7 200 []',
      'data 7 x',
      'trailers 7 [grpc-status 0]',
      'response 9 200 [content-length 1]',
      'data 9 tunnel',
    ],
  );
  assert.equal(connection.streamCount, 1);
});
