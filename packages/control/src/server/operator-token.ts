// The operator's token: made at the first start, then read from its file. Whoever can read the file is the operator.
import { join } from 'node:path';
import type { Logger, Random } from '@heddle/runtime';
import { createFileAtomic, readTextFile, restrictToOwner } from '@heddle/runtime/node';

const TOKEN_BYTES = 32;
const FORM = /^[A-Za-z0-9_-]{32,256}$/;

/** Throws an Error that names the file when it cannot be used. */
export async function openOperatorToken(stateDir: string, random: Random, logger: Logger): Promise<string> {
  const path = join(stateDir, 'operator.token');
  await createFileAtomic(path, `${Buffer.from(random.bytes(TOKEN_BYTES)).toString('base64url')}\n`);
  if (await restrictToOwner(path))
    logger.warn(
      { path },
      'the operator token could be read by other users of this machine; access has been taken from them: remove the file and restart to make a new one',
    );
  const token = (await readTextFile(path))?.trim() ?? '';
  if (!FORM.test(token))
    throw new Error(
      `${path} holds no usable operator token (32 to 256 letters, digits, "-" and "_"); remove it and start again to make a new one`,
    );
  return token;
}
