export * from './ports/index.ts';
export { TlsRefusals } from './tls-refusals.ts';
