// The door `@heddle/dataplane/admin`: the API of one data plane for whoever looks after it.
export { type AdminServer, type AdminServerOptions, startAdminServer } from './server.ts';
