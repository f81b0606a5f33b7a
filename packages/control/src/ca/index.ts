export * from './authority-types.ts';
export * from './authority.ts';
export * from './issuer.ts';
export * from './join-tokens.ts';
export * from './late-renewals.ts';
