// What can be wrong with the first bytes of a connection that began like TLS. Close it: there is nobody to whom an answer would mean much.

export const TLS_HELLO_VIOLATIONS = {
  BAD_RECORD: {
    section: 'RFC 8446 §5.1',
    rule: 'A handshake record has from 1 to 16,384 bytes, and nothing else comes before its message is complete.',
  },
  NOT_CLIENT_HELLO: { section: 'RFC 8446 §4.1.2', rule: 'The first handshake message of a client must be ClientHello.' },
  HELLO_TOO_LARGE: { section: 'RFC 8446 §4.1.2', rule: 'The ClientHello is larger than the limit.' },
  TOO_MANY_RECORDS: { section: 'RFC 8446 §5.1', rule: 'The ClientHello comes in more records than the limit.' },
  BAD_HELLO: { section: 'RFC 8446 §4.1.2', rule: 'The ClientHello is not put together as it must be: a length in it is wrong.' },
  REPEATED_EXTENSION: { section: 'RFC 8446 §4.2', rule: 'The ClientHello has an extension twice.' },
  BAD_SERVER_NAME: {
    section: 'RFC 6066 §3',
    rule: 'The server name must be one host name: letters, digits, dots, hyphens and underscores.',
  },
  BAD_ALPN: { section: 'RFC 7301 §3.1', rule: 'The list of application protocols must not be empty and has no empty name.' },
  BAD_VERSIONS: { section: 'RFC 8446 §4.2.1', rule: 'The list of supported versions must not be empty and has two bytes for each.' },
} as const satisfies Record<string, { section: string; rule: string }>;

export type TlsHelloViolationCode = keyof typeof TLS_HELLO_VIOLATIONS;
