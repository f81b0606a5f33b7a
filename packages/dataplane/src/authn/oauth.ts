// The form in which OAuth 2.0 asks an issuer as a client (RFC 6749 §2.3.1): parameters in the body, name and secret of the client in `authorization`. The secret is read
// from its file for each question, so that a new one is used at once; it is kept nowhere and shows up in no message.
import { memberOf, parseUniqueObject } from '@heddle/core';
import type { JsonObject } from '@heddle/core';
import { readSmallFile } from '@heddle/runtime/node';
import type { AuthnDeps } from './authn.ts';
import { NoAnswerError } from '../asking/https-client.ts';

export interface OAuthClient {
  readonly url: string;
  readonly clientId: string;
  readonly clientSecretFile: string;
  readonly rootsPem?: string;
}

/** The issuer says no (RFC 6749 §5.2). */
export class OAuthError extends Error {
  readonly code: string;
  readonly status: number;
  constructor(code: string, status: number) {
    super(`answered with status ${status}${code === '' ? '' : ` and the error "${code}"`}`);
    this.code = code;
    this.status = status;
  }
}

/**
 * A client secret and nothing else: one line of visible ASCII (RFC 6749 Appendix A.2). Whoever writes the configuration could name any file; keys, certificates and
 * lists of users have more lines than one.
 */
const SECRET = /^[\x20-\x7e]{1,1024}$/;
/** With the end of its line; a device or a pipe is none. */
const FILE_BYTES_MAX = 1_026;
/** Of errors (RFC 6749 §5.2). */
const ERROR_CODE = /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}$/;

/** The object that it answers with. Throws NoAnswerError and OAuthError; their messages complete "<url> ". */
export async function askAsClient(
  { client }: Pick<AuthnDeps, 'client'>,
  { url, clientId, clientSecretFile, rootsPem }: OAuthClient,
  parameters: Readonly<Record<string, string>>,
): Promise<JsonObject> {
  const secret = await readSecret(clientSecretFile);
  const authorization = `Basic ${Buffer.from(`${encoded(clientId)}:${encoded(secret)}`).toString('base64')}`;
  const { status, body } = await client.ask({ url, rootsPem, authorization, form: new URLSearchParams(parameters) });
  const answer = parseUniqueObject(body);
  if (status !== 200) {
    const error = answer && memberOf(answer, 'error');
    throw new OAuthError(typeof error === 'string' && ERROR_CODE.test(error) ? error : '', status);
  }
  if (answer === undefined) throw new NoAnswerError('answered with something that is no JSON object');
  return answer;
}

/** Throws NoAnswerError. */
async function readSecret(path: string): Promise<string> {
  let text: string | undefined;
  try {
    text = await readSmallFile(path, FILE_BYTES_MAX);
  } catch (error) {
    throw new NoAnswerError(
      `was not asked: the file of the client secret cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message}: ${path})`,
    );
  }
  if (text === undefined) throw new NoAnswerError(`was not asked: there is no file ${path} with the client secret`);
  const secret = text.replace(/\r?\n$/, '');
  if (!SECRET.test(secret)) throw new NoAnswerError(`was not asked: ${path} is no client secret, which is one line of ASCII`);
  return secret;
}

/** RFC 6749 Appendix B. */
function encoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}
