// A certified OpenID provider (npm package `oidc-provider`) on this machine, for one test.
//
// usage: provider.mjs PACKAGES
//
// Listens on a free port, fetches an access token from itself by the client credentials grant, prints the issuer and the
// token as one line of JSON, and serves until its input ends.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const packages = createRequire(pathToFileURL(`${process.argv[2]}/`));
const { Provider } = await import(pathToFileURL(packages.resolve('oidc-provider')));

const AUDIENCE = 'https://api.acme.example';
const CLIENT = { client_id: 'nightly-job', client_secret: 'a secret of the tests' };

const ALGORITHMS = { rs: 'RS256', es: 'ES256', ed: 'EdDSA' };

function key(kid, type, options, alg) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg };
}

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [{
    ...CLIENT, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    token_endpoint_auth_method: 'client_secret_post',
  }],
  jwks: {
    keys: [
      key('rsa', 'rsa', { modulusLength: 2048 }, 'RS256'),
      key('ec', 'ec', { namedCurve: 'P-256' }, 'ES256'),
      key('ed', 'ed25519', {}, 'EdDSA'),
    ],
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => AUDIENCE,
      getResourceServerInfo: (_, resource) => ({
        scope: 'notes:read', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300,
        jwt: { sign: { alg: ALGORITHMS[resource.split('/').pop()] ?? 'ES256' } },
      }),
    },
  },
});
server.on('request', provider.callback());

async function token(resource) {
  const form = new URLSearchParams({ ...CLIENT, grant_type: 'client_credentials', scope: 'notes:read', resource });
  const response = await fetch(`${issuer}/token`, { method: 'POST', body: form });
  const body = await response.json();
  if (!body.access_token) throw new Error(JSON.stringify(body));
  return body.access_token;
}

const tokens = {};
for (const path of Object.keys(ALGORITHMS)) {
  tokens[path] = await token(`${AUDIENCE}/${path}`);
}
console.log(JSON.stringify({ issuer, tokens }));
process.stdin.on('end', () => process.exit(0)).resume();
