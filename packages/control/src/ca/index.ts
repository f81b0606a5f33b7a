export * from './authority-types.ts';
export * from './authority.ts';
export * from './denials.ts';
export * from './issuer.ts';
export * from './join-tokens.ts';
export * from './late-renewals.ts';
export * from './ledger.ts';
export { PASSPHRASE_VARIABLE, readPassphrase } from './passphrase.ts';
export * from './rotation-desk.ts';
