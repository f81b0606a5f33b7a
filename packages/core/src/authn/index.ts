export { checkOutboundToken, checkTokenPolicy, placeOf } from './check-policy.ts';
export { claimAt, claimFits, claimHeadersOf, claimHeaderValue, isScopeClaim, scopeWords } from './claims.ts';
export { keysFor, type KeySet, parseKeySet, type PublicKey } from './key-set.ts';
export { lookalikes } from './lookalikes.ts';
export {
  mayAskForUnknownKey,
  mayRenewRefused,
  nextKeysMs,
  nextTryMs,
  REFUSED_TOKEN_PAUSE_MS,
  type TokenTimes,
  tokenTimes,
  UNKNOWN_KEY_PAUSE_MS,
} from './refresh.ts';
export { checkAudience, checkTimes, checkTokenClaims, checkTokenHeader, modelAlgorithm, tokenEndMs } from './signed-token.ts';
export { readTokenForm, type SignedToken, type TokenForm } from './token-form.ts';
export { headerToken, NOT_A_TOKEN, tokenAt, withoutCookie } from './token-source.ts';
export { isJsonObject, type JsonObject, type JsonValue, memberOf, parseUniqueObject } from './unique-json.ts';
