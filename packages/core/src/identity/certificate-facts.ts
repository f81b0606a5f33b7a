// What a certificate says, read from its DER (RFC 5280), and whether that makes it a workload's X.509-SVID. No signature is
// checked here. Names are taken from the DER and never from a printed form, in which a crafted name can imitate another.
import { contextTag, TAG } from './der.ts';
import {
  DerError,
  type DerElement,
  DerReader,
  readBoolean,
  readNamedBits,
  readOid,
  readPrintableAscii,
  readTime,
  readWhole,
} from './der-reader.ts';
import { type NameConstraints, readNameConstraints } from './name-constraints.ts';
import { parseSpiffeId, type SpiffeId } from './spiffe.ts';
import { GENERAL_NAME, KEY_USAGE, OID } from './x509.ts';

export interface CertificateFacts {
  /** Serial number in hexadecimal digits, two for each octet, without needless leading zeros. */
  readonly serial: string;
  /** DER of the Name, as issued certificates must repeat it. */
  readonly subjectDer: Uint8Array;
  readonly issuerDer: Uint8Array;
  readonly spkiDer: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly isAuthority: boolean;
  /** How many authorities may stand between this one and a leaf; undefined: any number. */
  readonly pathLength: number | undefined;
  /** What an authority may certify; undefined: everything. */
  readonly nameConstraints: NameConstraints | undefined;
  /** Bits of the key usage extension; undefined without it. */
  readonly keyUsage: readonly number[] | undefined;
  /** Object identifiers; undefined without the extension. */
  readonly extKeyUsage: readonly string[] | undefined;
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  /** Of IP addresses: 4 or 16 octets. */
  readonly ips: readonly Uint8Array[];
  readonly subjectKeyId: Uint8Array | undefined;
}

/** Larger than any certificate that is meant well; a TLS stack accepts far more. */
const CERTIFICATE_BYTES_MAX = 16_384;

/** Extensions that are understood here; another one that is critical makes a certificate unusable (RFC 5280 4.2). */
const KNOWN: readonly string[] = [
  OID.subjectKeyIdentifier,
  OID.keyUsage,
  OID.subjectAltName,
  OID.basicConstraints,
  OID.authorityKeyIdentifier,
  OID.extKeyUsage,
  OID.nameConstraints,
];

/** Throws DerError for anything that is not a v3 certificate in DER. */
export function readCertificate(der: Uint8Array): CertificateFacts {
  if (der.length > CERTIFICATE_BYTES_MAX)
    throw new DerError(`a certificate of ${der.length} bytes; at most ${CERTIFICATE_BYTES_MAX} are read`);
  const tbs = new DerReader(new DerReader(readWhole(der, TAG.sequence)).take(TAG.sequence).content);
  const version = readWhole(tbs.take(contextTag(0, true)).content, TAG.integer); // 4.1.2.1
  if (version.length !== 1 || version[0] !== 2) throw new DerError('not a version 3 certificate');
  const serial = readSerial(tbs.take(TAG.integer).content);
  tbs.take(TAG.sequence); // signature
  const issuerDer = tbs.take(TAG.sequence).whole;
  const validity = new DerReader(tbs.take(TAG.sequence).content);
  const notBeforeMs = readTime(validity.take());
  const notAfterMs = readTime(validity.take());
  const subjectDer = tbs.take(TAG.sequence).whole;
  const spkiDer = tbs.take(TAG.sequence).whole;
  tbs.takeOptional(contextTag(1, false)); // issuerUniqueID and subjectUniqueID, 4.1.2.8
  tbs.takeOptional(contextTag(2, false));
  const extensions = tbs.takeOptional(contextTag(3, true));
  tbs.end();
  return { serial, subjectDer, issuerDer, spkiDer, notBeforeMs, notAfterMs, ...readExtensions(extensions) };
}

/** RFC 5280 4.1.2.2 asks for positive ones, and for readers that take others as well: what is written is what is told. */
function readSerial(content: Uint8Array): string {
  if (content.length === 0) throw new DerError('the serial number is empty');
  const digits = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('hex');
  return digits.replace(/^(?:00)+(?=..)/, '');
}

type ExtensionFacts = Pick<
  CertificateFacts,
  'isAuthority' | 'pathLength' | 'nameConstraints' | 'keyUsage' | 'extKeyUsage' | 'uris' | 'dns' | 'ips' | 'subjectKeyId'
>;

function readExtensions(wrapper: DerElement | undefined): ExtensionFacts {
  const values = new Map<string, Uint8Array>();
  if (wrapper !== undefined) {
    const list = new DerReader(readWhole(wrapper.content, TAG.sequence));
    while (!list.atEnd) {
      const extension = new DerReader(list.take(TAG.sequence).content);
      const oid = readOid(extension.take(TAG.oid).content);
      const critical = extension.takeOptional(TAG.boolean);
      const value = extension.take(TAG.octetString).content;
      extension.end();
      if (values.has(oid)) throw new DerError(`the extension ${oid} occurs twice`); // 4.2
      if (critical !== undefined && readBoolean(critical.content) && !KNOWN.includes(oid))
        throw new DerError(`the critical extension ${oid} is not understood`);
      values.set(oid, value);
    }
  }
  const of = <T>(oid: string, read: (value: Uint8Array) => T): T | undefined => {
    const value = values.get(oid);
    return value === undefined ? undefined : read(value);
  };
  const names = of(OID.subjectAltName, readNames) ?? { uris: [], dns: [], ips: [] };
  return {
    ...(of(OID.basicConstraints, readBasicConstraints) ?? { isAuthority: false, pathLength: undefined }),
    nameConstraints: of(OID.nameConstraints, readNameConstraints),
    keyUsage: of(OID.keyUsage, (value) => readNamedBits(readWhole(value, TAG.bitString))),
    extKeyUsage: of(OID.extKeyUsage, readPurposes),
    ...names,
    subjectKeyId: of(OID.subjectKeyIdentifier, (value) => readWhole(value, TAG.octetString)),
  };
}

function readBasicConstraints(value: Uint8Array): Pick<CertificateFacts, 'isAuthority' | 'pathLength'> {
  const constraints = new DerReader(readWhole(value, TAG.sequence)); // 4.2.1.9
  const authority = constraints.takeOptional(TAG.boolean);
  const length = constraints.takeOptional(TAG.integer);
  constraints.end();
  return {
    isAuthority: authority !== undefined && readBoolean(authority.content),
    pathLength: length === undefined ? undefined : readPathLength(length.content),
  };
}

/** More than any chain has means the same as any larger number. */
function readPathLength(content: Uint8Array): number {
  const first = content[0];
  if (first === undefined || first >= 0x80) throw new DerError('a path length is not a number from 0 on');
  return content.length === 1 ? first : 0x7f;
}

function readPurposes(value: Uint8Array): string[] {
  const list = new DerReader(readWhole(value, TAG.sequence)); // 4.2.1.12
  const purposes: string[] = [];
  while (!list.atEnd) purposes.push(readOid(list.take(TAG.oid).content));
  return purposes;
}

function readNames(value: Uint8Array): Pick<CertificateFacts, 'uris' | 'dns' | 'ips'> {
  const names = new DerReader(readWhole(value, TAG.sequence)); // 4.2.1.6
  const uris: string[] = [];
  const dns: string[] = [];
  const ips: Uint8Array[] = [];
  while (!names.atEnd) {
    const name = names.take();
    if (name.tag === contextTag(GENERAL_NAME.uri, false)) uris.push(readPrintableAscii(name.content));
    else if (name.tag === contextTag(GENERAL_NAME.dns, false)) dns.push(readPrintableAscii(name.content));
    else if (name.tag === contextTag(GENERAL_NAME.ip, false)) ips.push(name.content);
  }
  return { uris, dns, ips };
}

export type SvidResult =
  | { readonly ok: true; readonly id: SpiffeId; readonly uri: string; readonly facts: CertificateFacts }
  | { readonly ok: false; readonly reason: string };

/**
 * The identity that a leaf certificate (DER) states, if it is one that a workload may have: X.509-SVID sections 2, 4 and 5.2.
 * The reason completes the sentence "the certificate …". Never throws. The signature and validity are not looked at.
 */
export function readSvid(der: Uint8Array): SvidResult {
  let facts: CertificateFacts;
  try {
    facts = readCertificate(der);
  } catch (error) {
    if (error instanceof DerError) return { ok: false, reason: `cannot be read: ${error.message}` };
    throw error;
  }
  const refuse = (reason: string): SvidResult => ({ ok: false, reason });
  const uri = facts.uris[0];
  if (uri === undefined) return refuse('carries no SPIFFE id (no URI among its alternative names)');
  if (facts.uris.length > 1)
    return refuse(`carries ${facts.uris.length} URIs among its alternative names; a SPIFFE certificate has exactly one`); // 2
  const id = parseSpiffeId(uri);
  if (id === undefined)
    return refuse(`carries ${JSON.stringify(uri)}, which is not of the form spiffe://<trust domain>/ns/<namespace>/svc/<service>`);
  if (facts.isAuthority) return refuse('belongs to an authority, not to a workload'); // 4.1, 5.2
  const usage = facts.keyUsage;
  if (usage === undefined || !usage.includes(KEY_USAGE.digitalSignature))
    return refuse('is not made for signing in handshakes (key usage digitalSignature is missing)'); // 4.3
  if (usage.includes(KEY_USAGE.keyCertSign) || usage.includes(KEY_USAGE.cRLSign))
    return refuse('may sign certificates or revocation lists, which a workload must not'); // 4.3, 5.2
  const purposes = facts.extKeyUsage;
  if (purposes !== undefined && !(purposes.includes(OID.serverAuth) && purposes.includes(OID.clientAuth)))
    return refuse('is not made for both TLS servers and clients'); // 4.4
  return { ok: true, id, uri, facts };
}
