// The asynchronous context of nobody's request. What the data plane does is not on behalf of whoever happened to need it first: else the AsyncLocalStorage
// of that request would be seen by all later ones. To be loaded with the first line of the application, and not with a request.
import { AsyncLocalStorage } from 'node:async_hooks';

export const outside: <T>(run: () => T) => T = AsyncLocalStorage.snapshot();
