export * from './dataplane.ts';
export * from './service.ts';
export * from './virtual-address.ts';
