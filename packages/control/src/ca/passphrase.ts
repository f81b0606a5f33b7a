// The passphrase of the authority's key: from a file, or from the environment. It is kept in memory only, and never told.
import { readTextFile } from '@heddle/runtime/node';

export const PASSPHRASE_VARIABLE = 'HEDDLE_CA_PASSPHRASE';
export const PASSPHRASE_MEND = `Give its passphrase: \`--ca-passphrase-file FILE\`, or the environment variable ${PASSPHRASE_VARIABLE}.`;
/** Shorter ones are guessed: who has the disk can try offline. */
const CHARS_MIN = 12;
const CHARS_MAX = 1_024;

/** The file's first line, else that of the environment, else undefined. Throws an Error that names the place and the mend. */
export async function readPassphrase(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const given = file === undefined ? environment[PASSPHRASE_VARIABLE] : await readTextFile(file);
  const place = file ?? `the environment variable ${PASSPHRASE_VARIABLE}`;
  // An empty variable is how an environment says that there is none.
  if (file === undefined && (given === undefined || given === '')) return undefined;
  if (given === undefined) throw new Error(`${place}, which should hold the passphrase of the authority's key, is not there`);
  const line = given.split(/\r?\n/, 1)[0] ?? '';
  if (line.length < CHARS_MIN || line.length > CHARS_MAX)
    throw new Error(
      `${place} holds a passphrase of ${line.length} characters. Choose one of ${CHARS_MIN} to ${CHARS_MAX} characters: \`openssl rand -base64 24\` makes one`,
    );
  return line;
}
