// The door `@heddle/runtime/inside`: connections that do not leave the process.
export { type InsideServerLife, InsideServers, InsideSocket, insideNetwork } from './inside-network.ts';
export { isOwnHttp, memoryLink, type MemoryConnection, type MemoryLinkOptions, MemoryStream } from './memory-link.ts';
