export * from './attributes.ts';
export * from './dataplane.ts';
export * from './service.ts';
export * from './virtual-address.ts';
