// The answers of the REST API for those who read them: the dashboard, which takes its types from here.
export * from './administration.ts';
export * from './common.ts';
export * from './decisions.ts';
export * from './events.ts';
export * from './identities.ts';
export * from './instances.ts';
export * from './mesh.ts';
export * from './proxies.ts';
export * from './services.ts';
export * from './tap.ts';
export * from './traffic.ts';
export * from './watch.ts';
