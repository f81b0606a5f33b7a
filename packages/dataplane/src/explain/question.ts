// What is asked, from a method and a URL as a person writes them. The path stays as it was written: clients that would send it otherwise
// can be asked about as well.
import type { Question } from './types.ts';

/** The question cannot be understood; the message says why. */
export class QuestionError extends Error {}

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const URL_FORM = /^(?:(https?):\/\/)?([^/?#]*)([/?][^#]*)?(?:#.*)?$/i;
const AUTHORITY = /^(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;
const VISIBLE = /^[\x21-\x7e]*$/;
/** Of a header's value (RFC 9110 §5.5), white space within it included. */
const VALUE = /^[\t\x20-\x7e\x80-\uffff]*$/;
/** As many as requests may have by default. */
const HEADERS_MAX = 100;
const CHARS_MAX = 65_536;

/** @param body JSON: `{ method, url, headers?: [name, value][], from? }`. @throws QuestionError */
export function readQuestion(body: unknown): Question {
  const { method, url, headers = [], from = '' } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  if (typeof method !== 'string' || !TOKEN.test(method)) throw new QuestionError('method must be that of a request, for example GET');
  if (typeof url !== 'string') throw new QuestionError('url must be text, for example http://orders/items');
  if (typeof from !== 'string' || from.length > CHARS_MAX) throw new QuestionError('from must name a service or a workload');
  const where = method === 'CONNECT' ? connectTarget(url) : requestTarget(url);
  return { method, ...where, headers: readHeaders(headers), from };
}

function connectTarget(url: string): Pick<Question, 'scheme' | 'authority' | 'path'> {
  if (AUTHORITY.exec(url)?.[1] === undefined || !isPort(url))
    throw new QuestionError(`CONNECT asks for a host with its port, for example cache:6379, and ${JSON.stringify(short(url))} is none`);
  return { scheme: 'http', authority: url, path: '' };
}

function requestTarget(url: string): Pick<Question, 'scheme' | 'authority' | 'path'> {
  const [, scheme = 'http', authority = '', rest = ''] = (url.length <= CHARS_MAX ? URL_FORM.exec(url) : null) ?? [];
  if (!AUTHORITY.test(authority) || !isPort(authority) || !VISIBLE.test(rest))
    throw new QuestionError(`${JSON.stringify(short(url))} is no URL of a request; write it like http://orders/items?page=2`);
  // RFC 9112 §3.2.1: an empty path is sent as a slash.
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  return { scheme: scheme.toLowerCase() as 'http' | 'https', authority, path };
}

function isPort(authority: string): boolean {
  const port = AUTHORITY.exec(authority)?.[1];
  return port === undefined || (Number(port) >= 1 && Number(port) <= 65_535);
}

function readHeaders(headers: unknown): Question['headers'] {
  const form = 'headers must be a list of [name, value]';
  if (!Array.isArray(headers)) throw new QuestionError(form);
  if (headers.length > HEADERS_MAX) throw new QuestionError(`${headers.length} headers are more than ${HEADERS_MAX}`);
  return headers.map((header: unknown) => {
    const [name, value] = (Array.isArray(header) ? header : []) as unknown[];
    if (typeof name !== 'string' || typeof value !== 'string') throw new QuestionError(form);
    if (!TOKEN.test(name)) throw new QuestionError(`${JSON.stringify(short(name))} is not the name of a header`);
    const trimmed = value.trim();
    if (!VALUE.test(trimmed)) throw new QuestionError(`the value of the header ${name} has characters that no header can have`);
    return [name, trimmed] as const;
  });
}

function short(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
