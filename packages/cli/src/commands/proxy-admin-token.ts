// The token of a proxy's admin API: in a file that only its owner reads, made where there is none.
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { CliError } from '../errors.ts';

/** Where the admin API listens. */
export const LOOPBACK = '127.0.0.1';

export function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CliError(
      `the token file ${file} cannot be read: ${(error as Error).message}`,
      'make a token with `heddle token create --service NAME`',
      { cause: error },
    );
  }
}

export const ADMIN_TOKEN_BYTES = 32;

/** Of the file; made with 256 bits of chance where there is none. */
export function adminToken(file: string): string {
  try {
    // `wx` fails on a file that exists: of two proxies that start together both then read the same token.
    writeFileSync(file, `${randomBytes(ADMIN_TOKEN_BYTES).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new CliError(
        `the admin token cannot be written to ${file}: ${(error as Error).message}`,
        'name another file with --admin-token-file',
        { cause: error },
      );
    }
  }
  const token = readToken(file);
  if (!/^[\x21-\x7e]{16,256}$/.test(token))
    throw new CliError(`${file} holds no usable token: one line of 16 to 256 printable characters`, 'remove the file; a new token is made');
  return token;
}
