// The door to heddle.admin.v1: what the CLI asks of a control plane.

export {
  AdminClient,
  type AdminServer,
  AdminService,
  ChangesRequest,
  ChangesResponse,
  CreateTokenRequest,
  CreateTokenResponse,
  GetMeshRequest,
  GetMeshResponse,
  ListInstancesRequest,
  ListInstancesResponse,
  ListProxiesRequest,
  ListProxiesResponse,
  Proxy as ProxyMessage,
  SyncState as SyncStateMessage,
} from '../gen/own/heddle/admin/v1/admin.ts';
