/** How a client of the SDK reaches the server that run.sh has started. Its account is always this one. */
export const MOTO = {
  endpoint: process.env.XENSNAP_MOTO_URL ?? 'http://run-with-test-aws.invalid',
  region: 'us-east-1',
  credentials: { accessKeyId: 'moto', secretAccessKey: 'moto' },
};
export const MOTO_ACCOUNT = '123456789012';
