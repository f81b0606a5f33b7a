export * from './dataplane.ts';
export * from './service.ts';
