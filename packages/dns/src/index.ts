// The mesh's names by DNS. A plane keeps a `Zone` up to date and starts a server on it.
export {
  DEFAULT_TTL_SECONDS,
  type DnsServer,
  type DnsServerOptions,
  type DnsSettings,
  type Forwarding,
  startDnsServer,
} from './server/server.ts';
export type { ZoneSource } from './server/responder.ts';
export type { AnswerMode } from './zone/answer.ts';
export { SRV_WORDS, type ZoneInstance, type ZoneService } from './zone/service.ts';
export { Zone } from './zone/zone.ts';
