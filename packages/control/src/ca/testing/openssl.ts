// Authorities as OpenSSL makes them, for tests of what is elsewhere. Tests only.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

/** Why tests against it are skipped; with HEDDLE_REQUIRE_INTEROP=1 they fail instead. */
export const OPENSSL =
  process.env.HEDDLE_REQUIRE_INTEROP === '1' || spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not on PATH';

/** Its standard output; fails the test when it fails. */
export function openssl(directory: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: directory, encoding: 'utf8' });
  assert.equal(status, 0, `openssl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** `<name>.pem` and `<name>.key`, signed by `<by>` or by itself. */
export function authority(directory: string, name: string, by: string | undefined, extensions: string, key = 'ec:prime256v1'): void {
  const [kind = '', curve] = key.split(':');
  const options =
    curve === undefined
      ? ['-algorithm', kind]
      : ['-algorithm', kind, '-pkeyopt', kind === 'ec' ? `ec_paramgen_curve:${curve}` : `rsa_keygen_bits:${curve}`];
  openssl(directory, 'genpkey', ...options, '-out', `${name}.key`);
  const issuer = by === undefined ? [] : ['-CA', `${by}.pem`, '-CAkey', `${by}.key`];
  const lines = `basicConstraints=critical,CA:TRUE${extensions}`.split('|');
  const added = [...lines, 'keyUsage=critical,keyCertSign', 'subjectKeyIdentifier=hash'].flatMap((line) => ['-addext', line]);
  openssl(
    directory,
    'req',
    '-x509',
    '-new',
    '-key',
    `${name}.key`,
    '-subj',
    `/CN=${name}`,
    '-days',
    '90',
    ...issuer,
    ...added,
    '-out',
    `${name}.pem`,
  );
}
