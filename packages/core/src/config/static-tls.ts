// The certificates, keys and roots that a static proxy's file names: read once, and checked so that what is wrong is told at its place.
// Nothing of a key's content is ever part of a message.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { decodePem } from '../identity/pem.ts';
import type { Fault, Path } from './fault.ts';
import { isRecord, shown } from './fault.ts';
import { authoritiesProblem, readNamed, type ConfigFiles } from './named-files.ts';

/** For those who only look at the form of a file. */
export const NO_FILES: ConfigFiles = {
  read: () => {
    throw new Error('no files are read here');
  },
  nowMs: 0,
};

type Raw = Record<string, unknown>;

/** `texts` gets everything that could be read. */
export function checkTlsFiles(root: unknown, files: ConfigFiles, texts: Map<string, string>): Fault[] {
  const file = isRecord(root) ? root : {};
  const listeners: readonly unknown[] = Array.isArray(file['listeners']) ? file['listeners'] : [];
  const services = isRecord(file['services']) ? Object.entries(file['services']) : [];
  const check = (holder: unknown, path: Path): Fault[] => {
    const tls = isRecord(holder) ? holder['tls'] : undefined;
    return isRecord(tls) ? new TlsCheck(tls, [...path, 'tls'], files, texts).run() : [];
  };
  return [
    ...listeners.flatMap((listener, index) => check(listener, ['listeners', index])),
    ...services.flatMap(([name, service]) => check(service, ['services', name])),
  ];
}

class TlsCheck {
  readonly #tls: Raw;
  readonly #path: Path;
  readonly #files: ConfigFiles;
  readonly #texts: Map<string, string>;
  readonly #faults: Fault[] = [];

  constructor(tls: Raw, path: Path, files: ConfigFiles, texts: Map<string, string>) {
    this.#tls = tls;
    this.#path = path;
    this.#files = files;
    this.#texts = texts;
  }

  run(): Fault[] {
    this.#checkRoots();
    for (const [key, other] of [
      ['cert', 'key'],
      ['key', 'cert'],
    ] as const) {
      const reason = `is missing: a certificate and its key go together, and there is a "${other}"`;
      if (this.#tls[key] === undefined && this.#tls[other] !== undefined)
        this.#faults.push({ path: [...this.#path, key], on: 'key', reason, mend: `add "${key}: FILE", or remove "${other}"` });
    }
    const chain = this.#readChain();
    const key = this.#readKey();
    if (chain?.[0] === undefined || key === undefined || chain[0].checkPrivateKey(key)) return this.#faults;
    const fitting = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
    if (fitting === -1)
      this.#fault('key', 'the key does not belong to the certificate in "cert"', 'name the key that the certificate was made for');
    else
      this.#fault(
        'cert',
        `the key belongs to certificate ${fitting + 1} of the file, which must be the first`,
        'put it first, then the intermediates',
      );
    return this.#faults;
  }

  #fault(key: string, reason: string, mend: string, severity?: 'warning'): undefined {
    this.#faults.push({ ...(severity && { severity }), path: [...this.#path, key], on: 'value', reason, mend });
    return undefined;
  }

  #read(key: string): string | undefined {
    return readNamed(this.#tls[key], [...this.#path, key], this.#files, this.#texts, this.#faults);
  }

  /** Certificates as DER; undefined where there are none. */
  #readCertificates(): Uint8Array[] | undefined {
    const text = this.#read('cert');
    if (text === undefined) return undefined;
    const ders = decodePem('CERTIFICATE', text);
    if (ders.length > 0) return ders;
    const isKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text);
    const mend = isKey ? 'it holds a key; are "cert" and "key" swapped?' : 'name a PEM file with "-----BEGIN CERTIFICATE-----"';
    return this.#fault('cert', `there is no certificate in ${shown(this.#tls['cert'])}`, mend);
  }

  #readChain(): X509Certificate[] | undefined {
    const chain: X509Certificate[] = [];
    for (const der of this.#readCertificates() ?? []) {
      try {
        chain.push(new X509Certificate(der));
      } catch {
        return this.#fault(
          'cert',
          `certificate ${chain.length + 1} in ${shown(this.#tls['cert'])} cannot be read`,
          'write the file anew; it is damaged',
        );
      }
    }
    const [leaf] = chain;
    if (leaf === undefined) return undefined;
    const [from, to] = [leaf.validFromDate, leaf.validToDate];
    if (to.getTime() < this.#files.nowMs)
      this.#fault('cert', `the certificate ended on ${day(to)}, and peers will refuse it`, 'renew it', 'warning');
    else if (from.getTime() > this.#files.nowMs)
      this.#fault(
        'cert',
        `the certificate begins on ${day(from)}, and peers will refuse it until then`,
        'check the clock of this machine',
        'warning',
      );
    return chain;
  }

  #readKey(): KeyObject | undefined {
    const text = this.#read('key');
    if (text === undefined) return undefined;
    try {
      return createPrivateKey(text);
    } catch {
      const name = shown(this.#tls['key']);
      if (/ENCRYPTED/.test(text))
        return this.#fault('key', `the key in ${name} has a passphrase`, 'write it without: openssl pkey -in KEY -out NEW');
      const isCertificate = text.includes('-----BEGIN CERTIFICATE-----');
      const mend = isCertificate
        ? 'it holds a certificate; are "cert" and "key" swapped?'
        : 'name a PEM file with "-----BEGIN PRIVATE KEY-----"';
      return this.#fault('key', `there is no private key in ${name}`, mend);
    }
  }

  #checkRoots(): void {
    const text = this.#read('ca');
    const problem = text === undefined ? undefined : authoritiesProblem(text, this.#tls['ca']);
    if (problem !== undefined) this.#fault('ca', problem.reason, problem.mend);
  }
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
