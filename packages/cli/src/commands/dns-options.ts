// The options of every command that serves names by DNS: how they are read, and what they become.
import { isIP } from 'node:net';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { hostPort, type HostPort, port } from '../options.ts';

export type DnsForward = 'system' | 'off' | readonly { readonly address: string; readonly port: number }[];

/** What the options say; the names are commander's. */
export interface DnsOptions {
  readonly dnsAnswers: 'instances' | 'virtual';
  readonly dnsForward: DnsForward;
  readonly dnsTtl: number;
}

const DNS_PORT = 53;
const RESOLVERS_MAX = 3;
const TTL_SECONDS_MAX = 3_600;

/** `ADDRESS:PORT` or `off`. */
export function dnsPlace(text: string): HostPort | 'off' {
  if (text === 'off') return 'off';
  const place = hostPort(text);
  if (isIP(place.host) === 0) throw new InvalidArgumentError('expected an IP address and a port, for example 127.0.0.1:15053, or off.');
  return place;
}

/** A port, 0 for a free one where that is allowed, or `off`. */
export function dnsPort(min: 0 | 1): (text: string) => number | 'off' {
  return (text) => (text === 'off' ? 'off' : port(min)(text));
}

/** `system`, `off`, or up to three addresses, each with or without a port. */
function dnsForward(text: string): DnsForward {
  if (text === 'system' || text === 'off') return text;
  const resolvers = text.split(',').map((part) => {
    const one = part.trim();
    if (isIP(one) !== 0) return { address: one, port: DNS_PORT };
    const place = dnsPlace(one);
    if (place === 'off' || place.port === 0)
      throw new InvalidArgumentError('expected system, off, or addresses, for example 10.0.0.2,10.0.0.3:5353.');
    return { address: place.host, port: place.port };
  });
  if (resolvers.length > RESOLVERS_MAX) throw new InvalidArgumentError(`at most ${RESOLVERS_MAX} resolvers are asked one after the other.`);
  return resolvers;
}

/** Seconds: `5`, `5s` or `1m`. */
function dnsTtl(text: string): number {
  const [, number, unit = 's'] = /^(\d{1,5})(s|m|h)?$/.exec(text) ?? [];
  const seconds = number === undefined ? -1 : Number(number) * { s: 1, m: 60, h: 3_600 }[unit as 's' | 'm' | 'h'];
  if (seconds < 0 || seconds > TTL_SECONDS_MAX) throw new InvalidArgumentError('expected a time from 0s to 1h, for example 5s.');
  return seconds;
}

export function answersOption(byDefault: DnsOptions['dnsAnswers']): Option {
  const what = 'what names of services stand for: the addresses of healthy instances, or the virtual address';
  return new Option('--dns-answers <kind>', what).choices(['instances', 'virtual']).default(byDefault);
}

export function forwardOption(): Option {
  const what = 'where all other names are looked up: "system" (its resolvers), "off", or addresses separated by commas';
  return new Option('--dns-forward <where>', what).argParser(dnsForward).default('system');
}

export function ttlOption(): Option {
  return new Option('--dns-ttl <time>', 'how long answers about the mesh may be kept').argParser(dnsTtl).default(5, '5s');
}

const ABOUT_ANSWERS = ['dnsAnswers', 'dnsForward', 'dnsTtl'];

/**
 * Before a command runs: options about answers are refused where nobody answers. `servedBy`: the options that say where names are served, as
 * commander names them.
 */
export function refuseIdleOptions(...servedBy: readonly string[]): (command: Command) => void {
  return (command) => {
    if (servedBy.some((option) => command.getOptionValue(option) !== 'off')) return;
    for (const { long, attributeName } of command.options.map((option) => ({ long: option.long, attributeName: option.attributeName() }))) {
      if (!ABOUT_ANSWERS.includes(attributeName) || command.getOptionValueSource(attributeName) !== 'cli') continue;
      const flags = command.options.filter((option) => servedBy.includes(option.attributeName())).map((option) => option.long);
      command.error(`error: ${long} has no effect: no names are served; say where with ${flags.join(' or ')}`);
    }
  };
}

export interface DnsChoice {
  readonly listen: { readonly address: string; readonly port: number };
  readonly answers: DnsOptions['dnsAnswers'];
  readonly forward: DnsForward;
  readonly ttlSeconds: number;
}

export function dnsChoice({ dnsAnswers, dnsForward: forward, dnsTtl: ttlSeconds }: DnsOptions, address: string, at: number): DnsChoice {
  return { listen: { address, port: at }, answers: dnsAnswers, forward, ttlSeconds };
}

/** As the option was given, for a process that is started. */
export function dnsForwardText(forward: DnsForward): string {
  if (typeof forward === 'string') return forward;
  return forward.map(({ address, port: at }) => (address.includes(':') ? `[${address}]:${at}` : `${address}:${at}`)).join(',');
}
