// The first message of a TLS connection, read without taking part in the handshake.

export {
  TLS_HELLO_LIMITS,
  TLS_HELLO_VIOLATIONS,
  readTlsHello,
  type TlsHello,
  type TlsHelloLimits,
  type TlsHelloResult,
  type TlsHelloViolationCode,
} from './reader.ts';
