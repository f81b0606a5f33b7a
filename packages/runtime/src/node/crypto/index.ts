export * from './certificates.ts';
export * from './chain.ts';
export * from './csr.ts';
export * from './keys.ts';
export * from './presented-chain.ts';
export * from './secret-files.ts';
