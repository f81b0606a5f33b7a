// How the values of `heddle explain` are read.
import { InvalidArgumentError } from 'commander';
import { hostPort, port, type HostPort } from '../options.ts';

type Header = readonly [name: string, value: string];

/** `NAME:VALUE`, the option several times. */
export function askedHeader(text: string, before: readonly Header[] = []): Header[] {
  const at = text.indexOf(':');
  if (at < 1) throw new InvalidArgumentError('expected NAME:VALUE, for example x-user:ann.');
  return [...before, [text.slice(0, at).trim(), text.slice(at + 1).trim()]];
}

/** `HOST:PORT`, or a port of this machine. */
export function askedProxy(text: string): HostPort {
  return /^\d+$/.test(text) ? { host: '127.0.0.1', port: port(1)(text) } : hostPort(text);
}
