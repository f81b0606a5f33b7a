export * from './certificate-facts.ts';
export * from './certification-request.ts';
export { DerError } from './der-reader.ts';
export { ipBytes } from './ip.ts';
export * from './join-token.ts';
export * from './pem.ts';
export { isServerName } from './server-name.ts';
export * from './spiffe.ts';
export * from './x509.ts';
