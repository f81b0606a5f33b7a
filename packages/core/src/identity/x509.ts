// The to-be-signed parts of X.509 v3 certificates (RFC 5280) and PKCS #10 requests (RFC 2986), and the wrapping of a part
// with its signature. Signing itself is the caller's: nothing here knows a key.
import {
  asciiBytes,
  contextTag,
  derBitString,
  derBoolean,
  derContext,
  derContextPrimitive,
  derElement,
  derInteger,
  derNamedBits,
  derNull,
  derOctetString,
  derOid,
  derSequence,
  derSetOf,
  derTime,
  derUtf8String,
  TAG,
} from './der.ts';
import { DerReader, readWhole } from './der-reader.ts';
import { ipBytes } from './ip.ts';

export const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  nameConstraints: '2.5.29.30',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  ecdsaWithSha384: '1.2.840.10045.4.3.3',
  rsaWithSha256: '1.2.840.113549.1.1.11',
  ed25519: '1.3.101.112',
} as const;

/** How certificates are signed: RFC 5758 3.2, RFC 8017 A.2.4 (PKCS #1 version 1.5), RFC 8410 3. */
export type SignatureAlgorithm = 'ecdsaWithSha256' | 'ecdsaWithSha384' | 'rsaWithSha256' | 'ed25519';

/** Bits of the key usage extension, RFC 5280 4.2.1.3. */
export const KEY_USAGE = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 } as const;

/** Tags of GeneralName, RFC 5280 4.2.1.6. */
export const GENERAL_NAME = { dns: 2, uri: 6, ip: 7 } as const;

/** RFC 5280 appendix A.1: ub-common-name and ub-organization-name. */
const NAME_LENGTH_MAX = 64;
/** RFC 5280 4.1.2.2: at most 20 octets, the sign included. */
const SERIAL_BYTES_MAX = 20;
const SERIAL_BYTES_MIN = 8;

export interface DistinguishedName {
  readonly commonName?: string;
  readonly organization?: string;
}

export interface SubjectAltNames {
  readonly uris: readonly string[];
  readonly dns?: readonly string[];
  /** IPv4 or IPv6 addresses as text, without brackets. */
  readonly ips?: readonly string[];
}

export interface CertificateInput {
  /** Big-endian; 8 to 20 random bytes. The first bit is cleared and zero is avoided here. */
  readonly serial: Uint8Array;
  /** DER of the issuer's Name: its certificate's subject, byte for byte. */
  readonly issuerDer: Uint8Array;
  readonly subjectDer: Uint8Array;
  /** Unix time; cut to whole seconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** DER of the SubjectPublicKeyInfo. */
  readonly spkiDer: Uint8Array;
  /** `authority` may sign leaves and nothing deeper; `leaf` serves and calls over TLS. */
  readonly role: 'authority' | 'leaf';
  readonly names: SubjectAltNames;
  readonly subjectKeyId: Uint8Array;
  readonly authorityKeyId: Uint8Array;
  /** Of the issuer's key. Default: ECDSA with SHA-256. */
  readonly signatureAlgorithm?: SignatureAlgorithm;
}

/** RFC 5280 4.1.2.4. */
export function distinguishedName(name: DistinguishedName): Uint8Array {
  const parts: Uint8Array[] = [];
  if (name.organization !== undefined) parts.push(relativeName(OID.organization, name.organization));
  if (name.commonName !== undefined) parts.push(relativeName(OID.commonName, name.commonName));
  return derSequence(...parts);
}

function relativeName(oid: string, value: string): Uint8Array {
  const length = [...value].length;
  if (length === 0 || length > NAME_LENGTH_MAX)
    throw new RangeError(`a part of a name has ${length} characters; 1 to ${NAME_LENGTH_MAX} are allowed`);
  return derSetOf(derSequence(derOid(oid), derUtf8String(value)));
}

/** TBSCertificate, RFC 5280 4.1.2. Throws RangeError on input that no certificate can hold. */
export function certificateTbs(input: CertificateInput): Uint8Array {
  if (input.notAfterMs <= input.notBeforeMs) throw new RangeError('the certificate would end before it begins');
  return derSequence(
    derContext(0, derInteger(2)), // version v3
    derInteger(positiveSerial(input.serial)),
    algorithmIdentifier(input.signatureAlgorithm),
    input.issuerDer,
    derSequence(derTime(input.notBeforeMs), derTime(input.notAfterMs)),
    input.subjectDer,
    input.spkiDer,
    derContext(3, derSequence(...extensions(input))),
  );
}

/** RFC 5280 4.1.2.2: positive, unique (random is), within 20 octets. */
function positiveSerial(random: Uint8Array): Uint8Array {
  if (random.length < SERIAL_BYTES_MIN || random.length > SERIAL_BYTES_MAX) {
    throw new RangeError(`a serial number of ${random.length} bytes; ${SERIAL_BYTES_MIN} to ${SERIAL_BYTES_MAX} are allowed`);
  }
  const serial = Uint8Array.from(random);
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40; // never zero, never negative, always of the same length
  return serial;
}

function algorithmIdentifier(algorithm: SignatureAlgorithm = 'ecdsaWithSha256'): Uint8Array {
  // RFC 4055 5: RSA has NULL as its parameters; RFC 5758 3.2, RFC 8410 3: the others have none, not even NULL.
  return algorithm === 'rsaWithSha256' ? derSequence(derOid(OID[algorithm]), derNull()) : derSequence(derOid(OID[algorithm]));
}

function extension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  // X.690 11.5: FALSE, the default, is left out.
  return derSequence(derOid(oid), ...(critical ? [derBoolean(true)] : []), derOctetString(value));
}

function extensions(input: CertificateInput): Uint8Array[] {
  const authority = input.role === 'authority';
  const subjectEmpty = readWhole(input.subjectDer, TAG.sequence).length === 0;
  const list = [
    // 4.2.1.9; pathLenConstraint 0: this authority signs no further authorities. A leaf carries the empty sequence (cA FALSE).
    extension(OID.basicConstraints, true, authority ? derSequence(derBoolean(true), derInteger(0)) : derSequence()),
    // 4.2.1.3; X.509-SVID 4.3: leaves have digitalSignature and neither of the signing bits.
    extension(OID.keyUsage, true, derNamedBits(authority ? [KEY_USAGE.keyCertSign, KEY_USAGE.cRLSign] : [KEY_USAGE.digitalSignature])),
  ];
  // 4.2.1.12; X.509-SVID 4.4: a workload is both client and server.
  if (!authority) list.push(extension(OID.extKeyUsage, false, derSequence(derOid(OID.serverAuth), derOid(OID.clientAuth))));
  list.push(
    extension(OID.subjectAltName, subjectEmpty, subjectAltNames(input.names)), // 4.2.1.6: critical when the subject is empty
    extension(OID.subjectKeyIdentifier, false, derOctetString(input.subjectKeyId)), // 4.2.1.2
    extension(OID.authorityKeyIdentifier, false, derSequence(derContextPrimitive(0, input.authorityKeyId))), // 4.2.1.1
  );
  return list;
}

function subjectAltNames(names: SubjectAltNames): Uint8Array {
  const entries = [
    ...names.uris.map((uri) => derContextPrimitive(GENERAL_NAME.uri, asciiBytes(uri))),
    ...(names.dns ?? []).map((dns) => derContextPrimitive(GENERAL_NAME.dns, dnsBytes(dns))),
    ...(names.ips ?? []).map((ip) => derContextPrimitive(GENERAL_NAME.ip, ipOctets(ip))),
  ];
  if (entries.length === 0) throw new RangeError('a certificate without any name');
  return derSequence(...entries);
}

function dnsBytes(name: string): Uint8Array {
  if (name.length > 253 || !/^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*$/.test(name))
    throw new RangeError(`"${name}" is not a DNS name`);
  return asciiBytes(name);
}

function ipOctets(text: string): Uint8Array {
  const bytes = ipBytes(text);
  if (bytes === undefined) throw new RangeError(`"${text}" is not an IP address`);
  return bytes;
}

/** CertificationRequestInfo, RFC 2986 4.1, without attributes. */
export function csrInfo(subjectDer: Uint8Array, spkiDer: Uint8Array): Uint8Array {
  return derSequence(derInteger(0), subjectDer, spkiDer, derElement(contextTag(0, true), new Uint8Array(0)));
}

/**
 * Certificate (RFC 5280 4.1.1) or CertificationRequest (RFC 2986 4.2) from its signed part and the signature over it: DER-encoded with ECDSA, the
 * plain octets with the others. A certificate's algorithm must be that of its signed part.
 */
export function withSignature(signedPart: Uint8Array, signature: Uint8Array, algorithm?: SignatureAlgorithm): Uint8Array {
  return derSequence(signedPart, algorithmIdentifier(algorithm), derBitString(signature));
}

/** The key bytes within a SubjectPublicKeyInfo, of which key identifiers are made (RFC 5280 4.1.2.7, 4.2.1.2). Throws DerError. */
export function subjectPublicKeyBits(spkiDer: Uint8Array): Uint8Array {
  const spki = new DerReader(readWhole(spkiDer, TAG.sequence));
  spki.take(TAG.sequence); // AlgorithmIdentifier
  return spki.take(TAG.bitString).content.subarray(1);
}
