export * from './backoff.ts';
export * from './restart.ts';
export * from './retry.ts';
