/** Where the Cloud Servers API is, below the service's own URL. */
export const RACKSPACE_PATH = '/v1.0';
