export * from './rate-limiter.ts';
export * from './token-bucket.ts';
