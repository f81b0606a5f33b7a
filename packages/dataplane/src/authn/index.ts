// Tokens of callers, and tokens for calls. Loaded when the first policy needs them.
export { createTokenGates } from './gates.ts';
export { createTokenSupplies } from './supplies.ts';
